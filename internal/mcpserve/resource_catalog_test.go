package mcpserve

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// Every operation that is shipped has a guide, a schema and examples with results
// that are none of failures, and is in the prompt of its family.
func TestEveryOperationIsExplained(t *testing.T) {
	w := demoWorld(t, catalog.All())
	p := w.modern("alice")
	for _, tool := range catalog.All() {
		s := tool.Spec()
		base := "lyceum://operations/" + s.Name
		if guide := p.read(base); !strings.Contains(guide, s.Summary) || !strings.Contains(guide, s.Method) || len(guide) > 64<<10 {
			t.Errorf("%s: a guide of %d bytes", s.Name, len(guide))
		}
		if schema := p.read(base + "/schema"); !json.Valid([]byte(schema)) {
			t.Errorf("%s: %s", s.Name, schema)
		}
		var out struct {
			Examples []struct {
				Title  string          `json:"title"`
				Result *tools.Envelope `json:"result"`
				Note   string          `json:"note"`
			} `json:"examples"`
		}
		if err := json.Unmarshal([]byte(p.read(base+"/examples")), &out); err != nil || len(out.Examples) != len(s.Examples) {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for _, e := range out.Examples {
			if e.Result == nil && e.Note == "" || e.Result != nil && (e.Result.Error != nil || e.Result.Operation != s.Name) {
				t.Errorf("%s, %s: %+v", s.Name, e.Title, e)
			}
		}
		var prompt promptResult
		p.ask("prompts/get", `{"name":"`+s.Family+`","arguments":{"task":"x","operation":"`+s.Name+`"}}`).into(t, &prompt)
		if !strings.Contains(prompt.Messages[0].Content.Text, s.Summary) {
			t.Errorf("%s is not in the prompt of %s", s.Name, s.Family)
		}
	}
}
