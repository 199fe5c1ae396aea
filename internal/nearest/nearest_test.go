package nearest

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := Distance(tt.a, tt.b); got != tt.want || got != Distance(tt.b, tt.a) {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestOf(t *testing.T) {
	names := []string{"mcts", "decision_framework", "session_info"}
	for name, want := range map[string]string{"mtcs": "mcts", "decision_framwork": "decision_framework", "something": "", "": "", strings.Repeat("m", MaxName+1): ""} {
		if got := Of(name, names, 3); got != want {
			t.Errorf("Of(%q) = %q, want %q", name, got, want)
		}
	}
}
