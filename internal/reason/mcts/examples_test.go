package mcts_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// The reference of the language keeps its word: its examples run as it says, and
// it names every function and every built-in problem.
func TestProblemLanguageReference(t *testing.T) {
	text := string(must[[]byte](t)(os.ReadFile(filepath.Join("..", "..", "..", "docs", "problem-language.md"))))
	examples := regexp.MustCompile("(?s)<!-- example: ([a-z]+), solved=([a-z]+)(?:, best=([^,]+), value=([-0-9.]+))? -->\n```json\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(examples) != 3 {
		t.Fatalf("%d examples, want 3", len(examples))
	}
	for _, x := range examples {
		var spec problem.Spec
		d := json.NewDecoder(strings.NewReader(x[5]))
		d.DisallowUnknownFields()
		if err := d.Decode(&spec); err != nil {
			t.Errorf("%s: %v", x[1], err)
			continue
		}
		m, err := problem.Compile(&spec)
		if err != nil {
			t.Errorf("%s: %v", x[1], err)
			continue
		}
		r := search(t, m, mcts.Options{Simulations: 3000, Policy: mcts.PUCT, Seed: 1})
		if strconv.FormatBool(r.Solved) != x[2] || x[3] != "" && r.Best != x[3] {
			t.Errorf("%s: best %q, solved %v; the document says %s, %s", x[1], r.Best, r.Solved, x[3], x[2])
		}
		if x[4] != "" {
			if want := must[float64](t)(strconv.ParseFloat(x[4], 64)); math.Abs(*r.Value-want) > 1e-12 {
				t.Errorf("%s: value %v, the document says %v", x[1], *r.Value, want)
			}
		}
	}
	for _, name := range append(expr.Functions(), problem.Domains()...) {
		if !regexp.MustCompile("[` ]" + regexp.QuoteMeta(name) + "[`( ]").MatchString(text) {
			t.Errorf("the document does not name %s", name)
		}
	}
}
