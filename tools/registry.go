package tools

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Registry holds the operations of a server in their documented order. It does
// not change after New.
type Registry struct {
	all    []Tool
	byName map[string]Tool
	names  []string
}

// maxSummary is what a model should have to read about one operation.
const maxSummary = 200

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_]{1,62}$`)

// NewRegistry returns a registry of tools, or every mistake in their
// descriptions at once.
func NewRegistry(all ...Tool) (*Registry, error) {
	r := &Registry{all: all, byName: make(map[string]Tool, len(all))}
	var errs []error
	for _, t := range all {
		s := t.Spec()
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("operation %q: %s", s.Name, fmt.Sprintf(format, args...)))
		}
		if !nameRule.MatchString(s.Name) || s.Name == Describe {
			bad("the name is not allowed")
		}
		if r.byName[s.Name] != nil {
			bad("the name is used twice")
		}
		if s.Summary == "" || len(s.Summary) > maxSummary {
			bad("the summary has %d bytes; it needs 1 to %d", len(s.Summary), maxSummary)
		}
		if s.Family == "" || s.Title == "" || s.Scope == "" || s.Method == "" {
			bad("family, title, scope and method are all needed")
		}
		if len(s.Examples) == 0 {
			bad("it has no example")
		}
		r.byName[s.Name] = t
		r.names = append(r.names, s.Name)
	}
	return r, errors.Join(errs...)
}

// All returns the tools in order.
func (r *Registry) All() []Tool { return slices.Clone(r.all) }

// Names returns the names in order.
func (r *Registry) Names() []string { return slices.Clone(r.names) }

// Lookup returns the tool of that name, or nil.
func (r *Registry) Lookup(name string) Tool { return r.byName[name] }
