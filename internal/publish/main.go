// Command publish makes what a release of Lyceum is published as: a bundle for
// each platform that desktop hosts install (MCPB), and the server.json that the
// MCP registry takes.
//
//	go run ./internal/publish -version 1.2.3 bundles
//	go run ./internal/publish -version 1.2.3 server-json
//
// It runs in the root of the repository; make mcpb and make server-json call it.
// It uses the standard library only and ships with nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

// task is what one run is asked for. Paths are relative to the working directory.
type task struct {
	version   string
	platforms []platform
	programs  string // folder with OS-ARCH/lyceum, or lyceum.exe
	tools     string // file with the answers to scripts/list-tools.sh
	dir       string // where bundles are, and server.json goes
	out       io.Writer
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("publish: ")
	t := task{out: os.Stdout}
	var platforms string
	flag.StringVar(&t.version, "version", "", "`version` of the release, as the programs were built with")
	flag.StringVar(&platforms, "platforms", "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64", "`list` of OS/ARCH")
	flag.StringVar(&t.programs, "programs", "bin/programs", "`folder` with OS-ARCH/lyceum")
	flag.StringVar(&t.tools, "tools", "bin/tools.jsonl", "`file` with what scripts/list-tools.sh printed")
	flag.StringVar(&t.dir, "dir", "bin", "`folder` for what is made")
	flag.Parse()
	if err := t.run(context.Background(), flag.Arg(0), platforms); err != nil {
		log.Fatal(err)
	}
}

func (t *task) run(ctx context.Context, what, platforms string) error {
	for text := range strings.FieldsSeq(platforms) {
		p, err := parsePlatform(text)
		if err != nil {
			return err
		}
		t.platforms = append(t.platforms, p)
	}
	switch what {
	case "bundles":
		return t.bundles(ctx)
	case "server-json":
		return t.serverJSON()
	}
	return fmt.Errorf("%q: want bundles or server-json", what)
}
