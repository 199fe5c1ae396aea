package alert

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request, those of the Standard Webhooks specification
// (standardwebhooks.com, version 1.0).
const (
	HeaderID        = "Webhook-Id"        // of the notification, the same on every attempt
	HeaderTimestamp = "Webhook-Timestamp" // of the attempt, in seconds since 1970
	HeaderSignature = "Webhook-Signature" // one "v1," and base64 for each secret, separated by spaces
)

// Tolerance is how far a receiver's clock may be from the timestamp.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	minSecret    = 16 // bytes
	maxSecrets   = 4
)

// Secret is a key that signatures are made with.
type Secret []byte

// ParseSecrets reads secrets separated by commas: while a secret is exchanged,
// requests are signed with the new and the old one. A secret that begins with
// whsec_ is base64, any other is taken as it is. The empty text has none.
func ParseSecrets(text string) ([]Secret, error) {
	if text == "" {
		return nil, nil
	}
	var all []Secret
	for part := range strings.SplitSeq(text, ",") {
		key := Secret(strings.TrimSpace(part))
		if coded, ok := strings.CutPrefix(string(key), secretPrefix); ok {
			b, err := base64.StdEncoding.DecodeString(coded)
			if err != nil {
				return nil, fmt.Errorf("secret %d: what follows %s is not base64", len(all)+1, secretPrefix)
			}
			key = b
		}
		if len(key) < minSecret {
			return nil, fmt.Errorf("secret %d has %d bytes, want at least %d", len(all)+1, len(key), minSecret)
		}
		all = append(all, key)
	}
	if len(all) > maxSecrets {
		return nil, fmt.Errorf("%d secrets, want at most %d", len(all), maxSecrets)
	}
	return all, nil
}

// mac signs what is sent: the id, the time of the attempt and the body.
func (s Secret) mac(id, timestamp string, body []byte) []byte {
	h := hmac.New(sha256.New, s)
	h.Write([]byte(id + "." + timestamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// sign puts the headers of an attempt at now into head.
func sign(head http.Header, secrets []Secret, id string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	var all []string
	for _, s := range secrets {
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(s.mac(id, timestamp, body)))
	}
	head.Set(HeaderID, id)
	head.Set(HeaderTimestamp, timestamp)
	head.Set(HeaderSignature, strings.Join(all, " "))
}

// Verify is what a receiver does with a request: it returns nil if one of the
// signatures was made with the secret over this id, time and body, and the time is
// within Tolerance of now. A receiver that also remembers the ids of twice that
// time takes nothing twice.
func Verify(secret Secret, head http.Header, body []byte, now time.Time) error {
	id, timestamp := head.Get(HeaderID), head.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return errors.New("webhook: want an id and a timestamp")
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > Tolerance {
		return fmt.Errorf("webhook: the timestamp is %v off, want at most %v", off.Round(time.Second), Tolerance)
	}
	want := secret.mac(id, timestamp, body)
	for part := range strings.FieldsSeq(head.Get(HeaderSignature)) {
		coded, ok := strings.CutPrefix(part, "v1,")
		if got, err := base64.StdEncoding.DecodeString(coded); ok && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("webhook: no signature fits")
}
