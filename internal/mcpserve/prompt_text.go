package mcpserve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/tools"
)

// text is what a prompt says. Operations, methods, calls and values come from the
// operations themselves; given was checked.
func (f *family) text(given map[string]string) (string, error) {
	chosen, err := f.chosen(given)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Work on the task below with Lyceum, a server that computes and does not guess.\n\n<task>\n%s\n</task>\n\n", given[argTask])
	if len(chosen) == 1 {
		b.WriteString("Use this operation:\n")
	} else {
		b.WriteString("Pick the operation whose summary fits the question:\n")
	}
	for _, t := range chosen {
		if err := f.operation(&b, t); err != nil {
			return "", err
		}
	}
	f.choices(&b, given)
	b.WriteString("\nHow to go on:\n")
	steps := []string{
		"Put the facts of the task into the parameters. Ask for what is missing; never make a number up.",
		fmt.Sprintf("The schema of an operation is the resource `%s`; worked examples are at `%s`.",
			uriTemplates[uriSchema], uriTemplates[uriExamples]),
		"If a result has isError, mend what error.issues names and send the call again; error.example is a call that works.",
		"Calls in `next` are ready to send. Results with budget.hit are the best so far: raise the budget to compute on.",
		"Report the numbers with their basis, method and seed, and pass warnings on. What is not assessable stays open.",
	}
	if f.tool == tools.FacadeName {
		steps[1] += " Operation \"describe\" explains each one too."
	}
	if id := given[argSession]; id != "" {
		steps = append(steps, fmt.Sprintf("Pass \"sessionId\": %q in every call: it goes on with that session.", id))
	} else {
		steps = append(steps, "Pass the sessionId of the first result in every later call, so that they share their state.")
	}
	for i, s := range steps {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s)
	}
	return b.String(), nil
}

// chosen returns the operations that the prompt is about.
func (f *family) chosen(given map[string]string) ([]tools.Tool, error) {
	name := given[argOperation]
	if name == "" {
		return f.tools, nil
	}
	i := slices.IndexFunc(f.tools, func(t tools.Tool) bool { return t.Spec().Name == name })
	choices, err := choicesOf(f.tools[i])
	if err != nil {
		return nil, err
	}
	for _, a := range f.args[3:] {
		v, there := given[a.Name]
		if !there {
			continue
		}
		j := slices.IndexFunc(choices, func(c promptArgument) bool { return c.Name == a.Name })
		if j < 0 || !slices.Contains(choices[j].values, v) {
			return nil, badParams(fmt.Sprintf("params.arguments.%s: %s does not take %s", a.Name, name, v))
		}
	}
	return f.tools[i : i+1], nil
}

// operation writes one operation with a call that works.
func (f *family) operation(b *strings.Builder, t tools.Tool) error {
	s := t.Spec()
	by := s.Method
	if s.Source != "" {
		by += "; " + s.Source
	}
	fmt.Fprintf(b, "\n- %s: %s (%s)\n", s.Name, s.Summary, by)
	arguments := json.RawMessage(s.Examples[0].Arguments)
	call, err := encodeJSON(struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}{f.tool, arguments})
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "  A call that works as it stands: %s\n", call)
	return nil
}

// choices writes the values that were asked for.
func (f *family) choices(b *strings.Builder, given map[string]string) {
	for _, a := range f.args[3:] {
		if v := given[a.Name]; v != "" {
			fmt.Fprintf(b, "\nSet parameters.%s to %q.\n", a.Name, v)
		}
	}
}
