package build

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	stamped := &debug.BuildInfo{
		GoVersion: "go1.26.1",
		Main:      debug.Module{Version: "v1.4.0"},
		Settings:  []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "0123abcd"}},
	}
	tests := []struct {
		name              string
		version, revision string
		embedded          *debug.BuildInfo
		want              Info
	}{
		{"nothing known", "", "", nil, Info{"devel", "unknown", runtime.Version()}},
		{"unstamped tree", "", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, Info{"devel", "unknown", runtime.Version()}},
		{"installed or stamped", "", "", stamped, Info{"v1.4.0", "0123abcd-dirty", "go1.26.1"}},
		{"linker wins", "v9", "feed", stamped, Info{"v9", "feed", "go1.26.1"}},
		{"linker without revision", "v9", "", stamped, Info{"v9", "0123abcd-dirty", "go1.26.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(tt.version, tt.revision, tt.embedded); got != tt.want {
				t.Errorf("describe = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	i := Current()
	if i.Version != Version() || i.Revision != Revision() || i.GoVersion != GoVersion() {
		t.Errorf("Current = %+v, but Version %q, Revision %q, GoVersion %q", i, Version(), Revision(), GoVersion())
	}
	if want := Version() + " (" + Revision() + ", " + runtime.Version() + ")"; i.String() != want {
		t.Errorf("String = %q, want %q", i, want)
	}
}

// TestLinkerFlags builds a program the way the Makefile does: a renamed
// variable would be ignored by the linker without a word.
func TestLinkerFlags(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "show")
	const flags = "-X github.com/lyceum-mcp/lyceum/internal/build.version=v7.8.9 " +
		"-X github.com/lyceum-mcp/lyceum/internal/build.revision=c0ffee"
	out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", flags, "-o", bin, "./testdata/show").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "v7.8.9 (c0ffee, " + runtime.Version() + ")"; strings.TrimSpace(string(out)) != want {
		t.Errorf("program says %q, want %q", out, want)
	}
}
