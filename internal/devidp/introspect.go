package devidp

import (
	"encoding/json"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// introspect is the introspection endpoint (RFC 7662), for clients with a secret.
// Any of them may ask about any access token.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	c, e := i.clientForm(w, r)
	if e == nil && c.Secret == "" {
		e = &oauthError{status: http.StatusUnauthorized, code: "invalid_client", text: "this needs a client with a secret"}
	}
	if e != nil {
		fail(w, e)
		return
	}
	token := r.PostForm.Get("token")
	if client, expires := i.inspect(token); client == "" || !time.Now().Before(expires) || i.Revoked(tokenKey(token)) {
		writeJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	var answer map[string]any
	if err := json.Unmarshal(i.payload(token), &answer); err != nil {
		fail(w, &oauthError{status: http.StatusInternalServerError, code: "server_error", text: "the token cannot be read"})
		return
	}
	answer["active"], answer["token_type"] = true, "Bearer"
	if answer["cnf"] != nil {
		answer["token_type"] = "DPoP"
	}
	writeJSON(w, http.StatusOK, answer)
}

// inspect returns who an access token of ours was made for and until when, or
// zero values for any other token.
func (i *Issuer) inspect(token string) (client string, expires time.Time) {
	var claims struct {
		ClientID string `json:"client_id"`
		Exp      int64  `json:"exp"`
	}
	if payload := i.payload(token); payload == nil || json.Unmarshal(payload, &claims) != nil || claims.ClientID == "" {
		return "", time.Time{}
	}
	return claims.ClientID, time.Unix(claims.Exp, 0)
}

// payload returns what a token that we signed says, or nil for any other token.
func (i *Issuer) payload(token string) []byte {
	var algs []jose.SignatureAlgorithm
	for _, a := range algorithms {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	jws, err := jose.ParseSignedCompact(token, algs)
	if err != nil {
		return nil
	}
	keys := i.PublicKeys()
	for _, k := range keys.Key(jws.Signatures[0].Protected.KeyID) {
		if payload, err := jws.Verify(k); err == nil {
			return payload
		}
	}
	return nil
}
