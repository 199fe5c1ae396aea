package mcpserve

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxAnswer is how long one answer may be, in bytes.
const maxAnswer = 32 << 10

// field is one property of the flat schema of a form.
type field struct {
	Type      string            `json:"type"`
	Enum      []json.RawMessage `json:"enum"`
	OneOf     []choice          `json:"oneOf"`
	AnyOf     []choice          `json:"anyOf"`
	Minimum   *float64          `json:"minimum"`
	Maximum   *float64          `json:"maximum"`
	MinLength int               `json:"minLength"`
	MaxLength *int              `json:"maxLength"`
	Items     *field            `json:"items"`
	MinItems  int               `json:"minItems"`
	MaxItems  *int              `json:"maxItems"`
}

type choice struct {
	Const json.RawMessage `json:"const"`
}

// checkAnswer says what is wrong with an answer, in the words of a client: it
// must be a result of the question's method and, for a form that was accepted,
// fit the form. raw has passed jsonscan.
func checkAnswer(q tools.Question, raw json.RawMessage) error {
	where := "the answer to " + q.Key
	switch {
	case !jsonscan.IsObject(raw):
		return badParams(where + " must be an object")
	case len(raw) > maxAnswer:
		return badParams(fmt.Sprintf("%s has %d bytes; the limit is %d", where, len(raw), maxAnswer))
	}
	switch q.Method {
	case tools.AskForm:
		return checkForm(where, memberOf(q.Params, "requestedSchema"), raw)
	case tools.AskSample:
		content := memberOf(raw, "content")
		if !isString(memberOf(raw, "role")) || content == nil || !jsonscan.IsObject(content) && content[0] != '[' {
			return badParams(where + " must have role, a string, and content")
		}
	case tools.AskRoots:
		if roots := memberOf(raw, "roots"); roots == nil || roots[0] != '[' {
			return badParams(where + " must have roots, an array")
		}
	}
	return nil
}

func checkForm(where string, schema, raw json.RawMessage) error {
	content := memberOf(raw, "content")
	switch jsonscan.String(memberOf(raw, "action")) {
	case "decline", "cancel":
		return nil
	case "accept":
	default:
		return badParams(where + ".action must be accept, decline or cancel")
	}
	if content == nil {
		content = json.RawMessage("{}")
	}
	if !jsonscan.IsObject(content) {
		return badParams(where + ".content must be an object")
	}
	var form struct {
		Properties map[string]field `json:"properties"`
		Required   []string         `json:"required"`
	}
	if err := json.Unmarshal(schema, &form); err != nil {
		return fmt.Errorf("the form of a question is no schema: %w", err)
	}
	for _, name := range form.Required {
		if memberOf(content, name) == nil {
			return badParams(fmt.Sprintf("%s.content.%s is required", where, name))
		}
	}
	for name, value := range jsonscan.Members(content) {
		f, known := form.Properties[string(name)]
		if !known {
			continue // extra members say nothing that was asked
		}
		if want := f.wants(value); want != "" {
			return badParams(fmt.Sprintf("%s.content.%s must be %s", where, name, want))
		}
	}
	return nil
}

// wants returns what a value should be, or "" if it is that.
func (f *field) wants(value json.RawMessage) string {
	if len(f.Enum) > 0 || len(f.OneOf) > 0 || len(f.AnyOf) > 0 {
		if !f.offers(value) {
			return "one of the choices"
		}
	}
	var v any
	if json.Unmarshal(value, &v) != nil {
		return "JSON"
	}
	switch f.Type {
	case "string":
		s, ok := v.(string)
		if n := utf8.RuneCountInString(s); !ok || n < f.MinLength || f.MaxLength != nil && n > *f.MaxLength {
			return "a string of the length that was asked for"
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return "true or false"
		}
	case "number", "integer":
		n, ok := v.(float64)
		if !ok || f.Type == "integer" && n != math.Trunc(n) || f.Minimum != nil && n < *f.Minimum || f.Maximum != nil && n > *f.Maximum {
			return "a number in the range that was asked for"
		}
	case "array":
		return f.wantsItems(value)
	}
	return ""
}

func (f *field) wantsItems(value json.RawMessage) string {
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil || len(items) < f.MinItems || f.MaxItems != nil && len(items) > *f.MaxItems {
		return "an array of as many choices as were asked for"
	}
	for _, item := range items {
		if f.Items != nil && f.Items.wants(item) != "" {
			return "an array of the choices"
		}
	}
	return ""
}

func (f *field) offers(value json.RawMessage) bool {
	same := func(raw json.RawMessage) bool {
		return isString(raw) && isString(value) && jsonscan.String(raw) == jsonscan.String(value) || string(raw) == string(value)
	}
	named := func(c choice) bool { return same(c.Const) }
	return slices.ContainsFunc(f.Enum, same) || slices.ContainsFunc(f.OneOf, named) || slices.ContainsFunc(f.AnyOf, named)
}
