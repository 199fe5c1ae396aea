package mcpserve

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/tools"
)

// fixed are the resources that are the same for everybody. They are written once,
// from what the operations say of themselves.
type fixed struct {
	entries  []resourceEntry // in the order of the list
	guide    string
	table    string
	pages    map[string]*operationDoc
	examples map[string]*examples
	tools    toolLists
}

// operationDoc is what can be read about one operation.
type operationDoc struct{ guide, schema string }

func newFixed(s *Server) (*fixed, error) {
	f := &fixed{pages: map[string]*operationDoc{}, examples: map[string]*examples{}}
	all := s.Registry.All()
	facade := tools.NewFacade(s.Registry)
	f.guide, f.table = guideText, operationTable(all)
	f.add(resourceURI{kind: uriGuide}, "guide", "How to use Lyceum", "How to call operations, what sessions, budgets and errors are.", mimeMarkdown, len(f.guide))
	f.add(resourceURI{kind: uriOperations}, "operations", "All operations", "Every operation in a line: what it computes, by which method, from which source.", mimeMarkdown, len(f.table))
	for _, t := range all {
		sp := t.Spec()
		guide, err := operationGuide(t)
		if err != nil {
			return nil, fmt.Errorf("the guide of %s: %w", sp.Name, err)
		}
		schema, err := operationSchema(t)
		if err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", sp.Name, err)
		}
		f.pages[sp.Name] = &operationDoc{guide, schema}
		f.examples[sp.Name] = newExamples(s, t, facade)
		f.add(resourceURI{kind: uriOperation, name: sp.Name}, sp.Name, sp.Title, sp.Summary, mimeMarkdown, len(guide))
		f.add(resourceURI{kind: uriSchema, name: sp.Name}, sp.Name+" schema", sp.Title+": schema", "JSON Schema of the parameters and the result of "+sp.Name+".", mimeSchema, len(schema))
		f.add(resourceURI{kind: uriExamples, name: sp.Name}, sp.Name+" examples", sp.Title+": examples", "Calls of "+sp.Name+" that work as they stand, with their results.", mimeJSON, 0)
	}
	return f, nil
}

func (f *fixed) add(u resourceURI, name, title, text, mime string, size int) {
	f.entries = append(f.entries, resourceEntry{URI: u.String(), Name: name, Title: title, Description: text, MIMEType: mime, Size: size})
}

// read returns a resource and its type.
func (f *fixed) read(ctx context.Context, q *query, u resourceURI) (text, mime string, err error) {
	switch u.kind {
	case uriGuide:
		return f.guide, mimeMarkdown, nil
	case uriOperations:
		return f.table, mimeMarkdown, nil
	}
	doc := f.pages[u.name]
	if doc == nil {
		return "", "", errNoResource
	}
	switch u.kind {
	case uriSchema:
		return doc.schema, mimeSchema, nil
	case uriExamples:
		text, err = f.examples[u.name].read(ctx, q)
		return text, mimeJSON, err
	default:
		return doc.guide, mimeMarkdown, nil
	}
}

const guideText = `# Lyceum

Lyceum computes; it does not guess. Each operation has a method, a source and typed parameters, and gives the same result for the same seed.

## Call

Call the tool ` + "`clear_thought`" + ` (or the tool of a family, ` + "`lyceum_…`" + `, where the server offers those) with

` + "```json" + `
{"operation": "NAME", "parameters": {}, "sessionId": "rs_…", "seed": 1}
` + "```" + `

- ` + "`operation`" + `: see ` + "`lyceum://operations`" + `; each has a guide at ` + "`lyceum://operations/{name}`" + `, its schema and worked examples below that.
- ` + "`parameters`" + `: the operation's own. "3" for 3 and JSON inside a string are understood; unknown ones are ignored with a warning.
- The result is an envelope: ` + "`result`" + `, and beside it the ` + "`basis`" + ` of its numbers (computed, client_supplied or template), ` + "`method`" + `, ` + "`source`" + `, ` + "`seed`" + `, ` + "`budget`" + `, ` + "`warnings`" + `, ` + "`next`" + ` (calls ready to send) and ` + "`resource`" + `, the URI of the object that the call changed.
- What cannot be computed from what you gave is reported as not assessable. Do not put a number in its place.

## Sessions

- Pass the ` + "`sessionId`" + ` of a result to go on where it ended. Without one, a call opens a session (before 2026-07-28: uses that of its connection).
- A session ends when no call has used it for its idle time, and at ` + "`expiresAt`" + ` at the latest. ` + "`session_create`" + `, ` + "`session_list`" + ` and ` + "`session_delete`" + ` manage them.
- What a session holds can be read: ` + "`lyceum://sessions/{sessionId}`" + ` names its objects, ` + "`…/slots/{slot}`" + ` is one of them, ` + "`…/export`" + ` the whole. Reading does not prolong a session.
- ` + "`version`" + ` counts changes. With ` + "`expectedVersion`" + ` a call is refused if another one was faster; with ` + "`idempotencyKey`" + ` it is safe to repeat.

## Budgets

Every operation takes ` + "`maxMillis`" + `, ` + "`maxSteps`" + ` and ` + "`maxNodes`" + `. A computation that meets one returns the best so far, and ` + "`budget.hit`" + ` says which. A call that takes longer than the server waits is answered with a ` + "`jobId`" + `: ` + "`job_result`" + ` waits on.

## Errors

A result with ` + "`isError`" + ` has ` + "`error.code`" + ` and, for arguments, ` + "`error.issues`" + ` with path, what was expected and what was there, and an ` + "`example`" + ` that works. Mend the call and send it again.

` + errorTable

const errorTable = `| code | means | do |
| --- | --- | --- |
| ` + "`invalid_arguments`" + ` | a parameter is missing or wrong | mend what ` + "`issues`" + ` names |
| ` + "`unknown_operation`" + ` | there is no such operation | take one of those listed |
| ` + "`session_unavailable`" + ` | the session is not there, or not yours | open another with ` + "`session_create`" + ` |
| ` + "`version_conflict`" + ` | the session has changed meanwhile | read it again, then repeat |
| ` + "`idempotency_conflict`" + ` | the key was used for another call | take a new key |
| ` + "`session_too_large`" + ` | the session is full | delete objects, or go on in another session |
| ` + "`output_too_large`" + ` | the result is too long | ask for less |
| ` + "`timeout`" + ` | it did not stop at its deadline | ask for less |
| ` + "`rate_limited`" + `, ` + "`overloaded`" + ` | too many calls | wait ` + "`retryAfterMs`" + ` |
`

// operationTable is every operation in a line.
func operationTable(all []tools.Tool) string {
	var b strings.Builder
	b.WriteString("# Operations\n\n| operation | family | computes | method | source |\n| --- | --- | --- | --- | --- |\n")
	for _, t := range all {
		s := t.Spec()
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, cell(s.Family), cell(s.Summary), cell(s.Method), cell(s.Source))
	}
	b.WriteString("\nGuide: `lyceum://operations/{name}`. Schema: `…/schema`. Worked examples: `…/examples`.\n")
	return b.String()
}

// cell makes text fit into a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// operationSchema has both schemas of an operation, as one whose instance is a
// call with its result.
func operationSchema(t tools.Tool) (string, error) {
	s := t.Spec()
	b, err := encodeJSON(struct {
		Dialect    string `json:"$schema"`
		Title      string `json:"title"`
		Text       string `json:"description"`
		Type       string `json:"type"`
		Properties struct {
			Parameters json.RawMessage `json:"parameters"`
			Result     json.RawMessage `json:"result"`
		} `json:"properties"`
	}{
		"https://json-schema.org/draft/2020-12/schema", s.Name, s.Summary, "object", struct {
			Parameters json.RawMessage `json:"parameters"`
			Result     json.RawMessage `json:"result"`
		}{t.InputSchema(), t.OutputSchema()},
	})
	return string(b), err
}
