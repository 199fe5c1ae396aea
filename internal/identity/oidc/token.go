package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	maxDepth  = 16  // of nested values in a header or in claims
	maxKeyID  = 512 // bytes
	maxDetail = 64  // bytes of what a token says that may reach a log
)

// token is a parsed JWS in compact form. Nothing in it is verified.
type token struct {
	raw    string
	alg    string
	kid    string // "" when there is none
	typ    string // lower case, without "application/"; "" when there is none
	issuer string
	claims object
}

// parse takes a token apart and refuses what no issuer may send: everything
// that two parsers could read differently, and every header that asks for
// something this verifier does not do.
func parse(raw string, maxBytes int) (*token, error) {
	if len(raw) > maxBytes {
		return nil, identity.NotMine("token_too_long", fmt.Errorf("%d bytes, at most %d are read", len(raw), maxBytes))
	}
	head, rest, ok1 := strings.Cut(raw, ".")
	body, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 {
		return nil, identity.NotMine(identity.ReasonMalformed, errors.New("not three parts"))
	}
	header, err := segment(head)
	if err != nil {
		return nil, identity.NotMine(identity.ReasonMalformed, fmt.Errorf("header: %w", err))
	}
	t := &token{raw: raw}
	if err := t.readHeader(header); err != nil {
		return nil, err
	}
	if _, err := decode(signature); err != nil {
		return nil, identity.Refuse(identity.ReasonMalformed, fmt.Errorf("signature: %w", err))
	}
	if t.claims, err = segment(body); err != nil {
		return nil, identity.Refuse(identity.ReasonMalformed, fmt.Errorf("claims: %w", err))
	}
	if t.issuer, err = t.claims.text("iss"); err != nil {
		return nil, identity.NotMine("bad_issuer", err)
	}
	return t, nil
}

func (t *token) readHeader(header object) error {
	var err error
	if t.alg, err = header.text("alg"); err != nil {
		return identity.Refuse("bad_algorithm", err)
	}
	if t.kid, err = header.optionalText("kid"); err != nil || len(t.kid) > maxKeyID || header.has("kid") && t.kid == "" {
		return identity.Refuse("bad_key_id", err)
	}
	if t.typ, err = header.optionalText("typ"); err != nil {
		return identity.Refuse("bad_type", err)
	}
	t.typ = strings.TrimPrefix(strings.ToLower(t.typ), "application/")
	// A key that comes with the token proves nothing; crit and b64 change what
	// the signature covers (RFC 7515 §4.1.11, RFC 7797); zip and enc are JWE's.
	for _, name := range [...]string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
		if header.has(name) {
			return identity.Refuse("unsupported_header", fmt.Errorf("%s", name))
		}
	}
	return nil
}

// segment decodes one part of a token as a JSON object.
func segment(s string) (object, error) {
	data, err := decode(s)
	if err != nil {
		return nil, err
	}
	return parseObject(data)
}

var encoding = base64.RawURLEncoding.Strict()

// decode reads base64url without padding and without the line breaks that
// package base64 skips.
func decode(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("empty, or with a line break")
	}
	return encoding.DecodeString(s)
}

// object is a JSON object with its names as they are written: encoding/json
// would match them without regard to case and keep the last of two.
type object map[string]json.RawMessage

// parseObject reads exactly one JSON object and refuses duplicate names at any
// depth, invalid UTF-8 and deep nesting.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	o, err := members(data, maxDepth)
	if err != nil {
		return nil, err
	}
	return o, nil
}

func members(data []byte, depth int) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	o := make(object)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := name.(string)
		if !ok {
			return nil, errors.New("a name is not a string")
		}
		if o.has(key) {
			return nil, fmt.Errorf("%.*q occurs twice", maxDetail, key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if err := checkNested(value, depth-1); err != nil {
			return nil, err
		}
		o[key] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, err
	}
	if len(bytes.TrimLeft(data[dec.InputOffset():], " \t\r\n")) != 0 {
		return nil, errors.New("text after the JSON object")
	}
	return o, nil
}

// checkNested holds a member's value to the same rules.
func checkNested(value json.RawMessage, depth int) error {
	if value[0] != '{' && value[0] != '[' {
		return nil
	}
	if depth == 0 {
		return fmt.Errorf("more than %d levels deep", maxDepth)
	}
	if value[0] == '{' {
		_, err := members(value, depth)
		return err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return err
	}
	for _, item := range items {
		if err := checkNested(item, depth-1); err != nil {
			return err
		}
	}
	return nil
}

func (o object) has(name string) bool { _, ok := o[name]; return ok }

// text returns a member that must be a non-empty string.
func (o object) text(name string) (string, error) {
	s, err := o.optionalText(name)
	if err == nil && s == "" {
		err = fmt.Errorf("%s is missing or empty", name)
	}
	return s, err
}

// optionalText returns a member that must be a string if it is there.
func (o object) optionalText(name string) (string, error) {
	value, ok := o[name]
	if !ok {
		return "", nil
	}
	if value[0] != '"' {
		return "", fmt.Errorf("%s is not a string", name)
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// texts returns a member that must be a string or an array of strings.
func (o object) texts(name string) ([]string, error) {
	value, ok := o[name]
	if !ok {
		return nil, nil
	}
	if value[0] == '"' {
		s, err := o.optionalText(name)
		return []string{s}, err
	}
	var list []*string // a pointer, so that null is seen
	if value[0] != '[' || json.Unmarshal(value, &list) != nil {
		return nil, fmt.Errorf("%s is neither a string nor an array of strings", name)
	}
	all := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, fmt.Errorf("%s has a null in it", name)
		}
		all = append(all, *s)
	}
	return all, nil
}
