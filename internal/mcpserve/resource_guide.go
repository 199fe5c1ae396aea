package mcpserve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxRows is how many rows a table of parameters has at most.
const maxRows = 400

// commonParameters are understood by every operation and explained in the guide.
var commonParameters = []string{"seed", "maxMillis", "maxSteps", "maxNodes"}

// operationGuide is an operation for people and models to read. All of it is what
// the operation says of itself.
func operationGuide(t tools.Tool) (string, error) {
	s := t.Spec()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n%s\n\n", s.Name, s.Title, s.Summary)
	fmt.Fprintf(&b, "- Method: %s\n", s.Method)
	if s.Source != "" {
		fmt.Fprintf(&b, "- Source: %s\n", s.Source)
	}
	fmt.Fprintf(&b, "- Family: %s. Scope: `%s`. Effect: %s.\n", s.Family, s.Scope, effect(s))
	if s.Lane == work.Inline {
		b.WriteString("- Takes microseconds and never waits for its turn.\n")
	} else {
		fmt.Fprintf(&b, "- Computes in the lane %s; beyond the server's patience it goes on as a job.\n", s.Lane)
	}
	rows, err := parameterRows(t.InputSchema())
	if err != nil {
		return "", err
	}
	b.WriteString("\n## Parameters\n\n")
	if len(rows) == 0 {
		b.WriteString("None of its own.\n")
	} else {
		b.WriteString("| parameter | type | range | default | meaning |\n| --- | --- | --- | --- | --- |\n")
		for _, r := range rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.path, cell(r.typ), cell(r.bounds), cell(r.def), cell(r.text))
		}
	}
	b.WriteString("\nEvery operation also takes `seed`, `maxMillis`, `maxSteps` and `maxNodes`.\n\n## Example\n\n")
	for _, e := range s.Examples {
		fmt.Fprintf(&b, "%s:\n\n```json\n%s\n```\n\n", e.Title, e.Arguments)
	}
	fmt.Fprintf(&b, "With results: `%s`.\n\n## Errors\n\n%s", resourceURI{kind: uriExamples, name: s.Name}, errorTable)
	return b.String(), nil
}

func effect(s *tools.Spec) string {
	where := "the session"
	if s.Stateless {
		where = "nothing of a session"
	}
	switch s.Effect {
	case tools.Mutates:
		return "changes " + where
	case tools.Deletes:
		return "removes from " + where
	default:
		return "changes nothing"
	}
}

// parameterRow is one parameter in a table.
type parameterRow struct{ path, typ, bounds, def, text string }

// property is what a schema of ours says of one parameter.
type property struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Enum        []string        `json:"enum"`
	Default     json.RawMessage `json:"default"`
	Minimum     *json.Number    `json:"minimum"`
	Maximum     *json.Number    `json:"maximum"`
	MinItems    *json.Number    `json:"minItems"`
	MaxItems    *json.Number    `json:"maxItems"`
	MaxLength   *json.Number    `json:"maxLength"`
	Required    []string        `json:"required"`
	Properties  json.RawMessage `json:"properties"`
	Items       json.RawMessage `json:"items"`
	Values      json.RawMessage `json:"additionalProperties"`
}

// parameterRows lists the parameters of a schema in its order, nested ones under
// the path by which errors name them.
func parameterRows(schema json.RawMessage) ([]parameterRow, error) {
	if err := jsonscan.Check(schema); err != nil {
		return nil, err
	}
	var rows []parameterRow
	err := walkProperties(schema, "", &rows)
	return rows, err
}

func walkProperties(schema json.RawMessage, path string, rows *[]parameterRow) error {
	var p property
	if err := json.Unmarshal(schema, &p); err != nil {
		return err
	}
	for key, value := range jsonscan.Members(p.Properties) {
		name := string(key)
		if path == "" && slices.Contains(commonParameters, name) {
			continue
		}
		var child property
		if err := json.Unmarshal(value, &child); err != nil {
			return err
		}
		row := child.row()
		if row.path = path + name; slices.Contains(p.Required, name) {
			row.def = "required"
		}
		if len(*rows) == maxRows {
			return nil
		}
		*rows = append(*rows, row)
		if err := child.descend(value, row.path, rows); err != nil {
			return err
		}
	}
	return nil
}

// descend lists what is inside of a parameter.
func (p *property) descend(self json.RawMessage, path string, rows *[]parameterRow) error {
	switch {
	case len(p.Properties) > 0:
		return walkProperties(self, path+".", rows)
	case jsonscan.IsObject(p.Items):
		return walkElement(p.Items, path+"[]", rows)
	case jsonscan.IsObject(p.Values):
		return walkElement(p.Values, path+".*", rows)
	}
	return nil
}

// walkElement lists what is inside of each item of an array, or value of a map.
func walkElement(schema json.RawMessage, path string, rows *[]parameterRow) error {
	var p property
	if err := json.Unmarshal(schema, &p); err != nil {
		return err
	}
	return p.descend(schema, path, rows)
}

func (p *property) row() parameterRow {
	r := parameterRow{typ: p.Type, text: p.Description, def: string(p.Default)}
	switch {
	case p.Type == "array":
		var item property
		_ = json.Unmarshal(p.Items, &item) // no type: anything
		r.typ = "array of " + anything(item.Type)
	case p.Type == "object" && len(p.Properties) == 0:
		var value property
		_ = json.Unmarshal(p.Values, &value)
		r.typ = "object of " + anything(value.Type)
	default:
		r.typ = anything(p.Type)
	}
	var parts []string
	if len(p.Enum) > 0 {
		parts = append(parts, strings.Join(p.Enum, ", "))
	}
	parts = append(parts, between(p.Minimum, p.Maximum, ""), between(p.MinItems, p.MaxItems, " items"), between(nil, p.MaxLength, " bytes"))
	r.bounds = strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
	return r
}

func anything(typ string) string {
	if typ == "" {
		return "any"
	}
	return typ
}

func between(low, high *json.Number, unit string) string {
	switch {
	case low == nil && high == nil:
		return ""
	case high == nil:
		return "≥ " + low.String() + unit
	case low == nil:
		return "≤ " + high.String() + unit
	}
	return low.String() + " … " + high.String() + unit
}
