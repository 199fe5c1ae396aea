package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// noticeName is what a file is called that must go with copies of a module.
var noticeName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|third.party)[^/]*$`)

// notices returns the licences and notices of the Go distribution and of every
// module that the program for p is built from, as they stand in the root of each.
func notices(ctx context.Context, p platform, info *buildinfo.BuildInfo) ([]byte, error) {
	root, err := output(exec.CommandContext(ctx, "go", "env", "GOROOT"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "lyceum is licensed under the Apache License 2.0 (LICENSE). It contains the following, under their own licences.\n")
	if err := noticesOf(&b, "Go "+strings.TrimPrefix(info.GoVersion, "go"), strings.TrimSpace(root)); err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}} {{.Dir}}{{end}}", "./cmd/lyceum")
	list.Env = append(list.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0")
	modules, err := output(list)
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for line := range strings.Lines(modules) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		version, dir, _ := strings.Cut(rest, " ")
		dirs[path+" "+version] = dir
	}
	deps := slices.Clone(info.Deps)
	slices.SortFunc(deps, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range deps {
		name := m.Path + " " + m.Version
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced: a release is built from what go.mod names", name)
		}
		if dirs[name] == "" {
			return nil, fmt.Errorf("%s is not what the tree is built from now", name)
		}
		if err := noticesOf(&b, name, dirs[name]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// noticesOf adds the notices in dir; it is an error if there are none.
func noticesOf(b *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if !e.Type().IsRegular() || !noticeName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(b, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), name, e.Name(), bytes.TrimSpace(text))
	}
	if !found {
		return fmt.Errorf("%s has no licence in %s", name, dir)
	}
	return nil
}

// output runs a command and returns what it prints.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
