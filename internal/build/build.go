// Package build says which build of the program is running.
//
// What the linker was told wins; the rest comes from the build information that
// the go command writes into every binary, so that "go install" needs no flags:
//
//	go build -ldflags "-X github.com/lyceum-mcp/lyceum/internal/build.version=v1.2.3"
package build

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// Set by the linker (-X), never by code.
var (
	version  string
	revision string
)

// Info describes one build.
type Info struct {
	Version   string // "v1.2.3", or "devel" for a build that nobody gave a version
	Revision  string // commit, with "-dirty" for a modified tree, or "unknown"
	GoVersion string // toolchain, such as "go1.26.1"
}

// String is the text of "lyceum version": version, revision and toolchain.
func (i Info) String() string {
	return i.Version + " (" + i.Revision + ", " + i.GoVersion + ")"
}

var current = sync.OnceValue(func() Info {
	embedded, _ := debug.ReadBuildInfo()
	return describe(version, revision, embedded)
})

// Current describes the running program.
func Current() Info { return current() }

// Version returns the running program's version.
func Version() string { return current().Version }

// Revision returns the commit that the running program was built from.
func Revision() string { return current().Revision }

// GoVersion returns the toolchain that built the running program.
func GoVersion() string { return current().GoVersion }

// describe merges what the linker was told with the embedded information, which
// is nil in a binary built without module support.
func describe(version, revision string, embedded *debug.BuildInfo) Info {
	info := Info{Version: version, Revision: revision, GoVersion: runtime.Version()}
	if embedded == nil {
		embedded = &debug.BuildInfo{}
	}
	if embedded.GoVersion != "" {
		info.GoVersion = embedded.GoVersion
	}
	if info.Version == "" && embedded.Main.Version != "(devel)" {
		info.Version = embedded.Main.Version
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	if info.Revision == "" {
		info.Revision = commit(embedded.Settings)
	}
	return info
}

// commit reads the version control stamp.
func commit(settings []debug.BuildSetting) string {
	id, dirty := "unknown", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			id = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return id + dirty
}
