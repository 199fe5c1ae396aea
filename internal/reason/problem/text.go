package problem

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bad is a Flaws of one thing: what is wrong at path, and what would be right.
func Bad(path, expected, format string, args ...any) error {
	return Flaws{{Path: path, Problem: fmt.Sprintf(format, args...), Expected: expected}}
}

// CheckText says what is wrong with a text that must be there, have at most that
// many bytes and be valid UTF-8.
func CheckText(path, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return Bad(path, "a text", "nothing")
	case len(text) > most:
		return Bad(path, fmt.Sprintf("at most %d bytes", most), "%d bytes", len(text))
	case !utf8.ValidString(text):
		return Bad(path, "valid UTF-8", "other bytes")
	}
	return nil
}
