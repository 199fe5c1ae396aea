package decision

import (
	"fmt"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// BenchmarkAnalyze covers a decision of everyday size and one at all caps.
func BenchmarkAnalyze(b *testing.B) {
	for _, size := range []struct{ options, criteria int }{{4, 5}, {MaxOptions, MaxCriteria}} {
		r := seed.Stream(1, 0)
		var p Problem
		for j := range size.criteria {
			p.Criteria = append(p.Criteria, Criterion{Name: fmt.Sprintf("c%d", j), Minimize: j%3 == 0})
		}
		for i := range size.options {
			o := Option{Name: fmt.Sprintf("o%d", i), Attributes: map[string]float64{}}
			for _, c := range p.Criteria {
				o.Attributes[c.Name] = 1 + r.Float64()
			}
			p.Options = append(p.Options, o)
		}
		for _, m := range weighing {
			b.Run(fmt.Sprintf("%s/%dx%d", m, size.options, size.criteria), func(b *testing.B) {
				var steps int64
				for b.Loop() {
					m0 := free(b)
					if _, err := Analyze(m0, p, Settings{Method: m, Draws: DefaultDraws}, 1); err != nil {
						b.Fatal(err)
					}
					steps, _ = m0.Used()
				}
				b.ReportMetric(float64(steps), "steps/op")
			})
		}
	}
}
