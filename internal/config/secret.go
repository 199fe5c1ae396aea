package config

import (
	"fmt"
	"log/slog"
)

// mask is what a secret shows of itself.
const mask = "***"

// Secret is a text that must not be printed: every way of writing it (fmt with
// any verb, JSON, YAML, text, slog) gives ***. The zero value is the empty
// secret.
type Secret struct {
	text *string // a pointer, so that a foreign printer finds an address instead
}

// NewSecret returns text as a secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns ***.
func (Secret) String() string { return mask }

// Format writes *** whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText gives ***, also to encoding/json.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalYAML gives ***.
func (Secret) MarshalYAML() (any, error) { return mask, nil }

// LogValue gives *** to slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }
