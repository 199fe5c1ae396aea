package tools

import (
	"fmt"
	"strings"
)

// Issue is one thing that is wrong with the arguments of a call.
type Issue struct {
	Path     string `json:"path"`          // where, such as parameters.options[2].name
	Expected string `json:"expected"`      // what would be right
	Got      string `json:"got,omitempty"` // what was there, cut to a readable length
}

// BadArguments is what Invoke returns when the caller can mend the call. It is
// a result of the tool, not an error of the protocol: a model reads it.
type BadArguments struct {
	Code   string // machine code; "invalid_arguments" unless the tool says otherwise
	Issues []Issue
}

// Error lists the issues in one line.
func (b *BadArguments) Error() string {
	parts := make([]string, len(b.Issues))
	for i, is := range b.Issues {
		parts[i] = is.Path + ": expected " + is.Expected
		if is.Got != "" {
			parts[i] += ", got " + is.Got
		}
	}
	return strings.Join(parts, "; ")
}

// Bad returns the failure of a single argument: where it is, what would be
// right, and what was there.
func Bad(path, expected string, got any) error {
	return &BadArguments{Issues: []Issue{{Path: path, Expected: expected, Got: clip(fmt.Sprint(got))}}}
}

// Badf is Bad for an argument whose problem takes a sentence.
func Badf(path, format string, args ...any) error {
	return &BadArguments{Issues: []Issue{{Path: path, Expected: fmt.Sprintf(format, args...)}}}
}

// Issues collects problems found by an input's own Check.
type Issues struct{ list []Issue }

// Add notes a problem.
func (i *Issues) Add(path, expected string, got any) {
	if len(i.list) < maxIssues {
		i.list = append(i.list, Issue{Path: path, Expected: expected, Got: clip(fmt.Sprint(got))})
	}
}

// Checker is implemented by an input type whose fields depend on each other. It
// runs after decoding, only when every single field was right.
type Checker interface{ Check(*Issues) }

// Warning tells the caller about something that was accepted but may not be
// what was meant.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
