package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/nearest"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path    string // the setting, or what was written in its place
	Value   string // as given; *** for a secret, empty where none was
	Reason  string // what is wrong with it
	Origin  Origin // where it came from
	Allowed string // which values would be right; may be empty
	Mend    string // what to do; empty stands for correcting it at its origin
}

// maxShown bounds how much of a value a message repeats, in bytes.
const maxShown = 80

// String returns the problem in two to three lines.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Path + ": ")
	if p.Value != "" {
		value := p.Value
		if len(value) > maxShown {
			value = value[:maxShown] + "…"
		}
		fmt.Fprintf(&b, "%q ", strings.ToValidUTF8(value, "?"))
	}
	b.WriteString(p.Reason)
	if !p.Origin.IsDefault() {
		fmt.Fprintf(&b, " (%s)", p.Origin)
	}
	if p.Allowed != "" {
		b.WriteString("\n  allowed: " + p.Allowed)
	}
	b.WriteString("\n  mend:    " + p.mend())
	return b.String()
}

// mend says what to do.
func (p Problem) mend() string {
	switch {
	case p.Mend != "":
		return p.Mend
	case p.Origin.layer == fromFile:
		return "correct it in " + p.Origin.String()
	case p.Origin.layer == fromEnv:
		return "correct or unset " + p.Origin.name
	case p.Origin.layer == fromFlag:
		return "correct or omit --" + p.Origin.name
	}
	return "set " + p.Path
}

// Problems is everything wrong with a configuration: the error of Load.
type Problems []Problem

// Error returns all problems, one after the other.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "configuration: " + ps[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	for _, p := range ps {
		b.WriteString("\n\n" + p.String())
	}
	return b.String()
}

// sort orders by origin: as one would walk through the file, the environment
// and the command line to mend them.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Origin.compare(b.Origin) })
}

// unknown is the problem of a name that is no setting. The suggestion may be "".
func unknown(name string, origin Origin, suggestion string) Problem {
	p := Problem{Path: name, Reason: "no such setting", Origin: origin}
	if suggestion != "" {
		p.Mend = "did you mean " + suggestion + "?"
	}
	return p
}

// meant returns the candidate that a person who wrote name most likely meant:
// one that ends in it after a dot, or one at most a third of it away in
// insertions, deletions and substitutions of bytes. It returns "" when nothing
// comes near.
func meant(name string, candidates []string) string {
	for _, c := range candidates {
		if strings.HasSuffix(c, "."+name) {
			return c
		}
	}
	return nearest.Of(name, candidates, len(name)/3)
}
