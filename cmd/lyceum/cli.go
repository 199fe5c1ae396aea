package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/lyceum-mcp/lyceum/internal/config"
)

// process is what a command may touch of the world around it. Tests make their
// own.
type process struct {
	env     func(string) (string, bool)
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// errSaid ends the process with status 1 when everything has been said already.
var errSaid = errors.New("failed")

// cli is the grammar of the command line.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Serve MCP over HTTP."`
	Stdio    stdioCmd    `cmd:"" help:"Speak MCP over stdin and stdout."`
	Token    tokenCmd    `cmd:"" help:"Print an access token of the development identity provider."`
	Call     callCmd     `cmd:"" help:"Run one operation and print its result."`
	Bench    benchCmd    `cmd:"" help:"Measure a running server with bounded load."`
	Backup   backupCmd   `cmd:"" help:"Copy the store, of a running server or of a directory."`
	Restore  restoreCmd  `cmd:"" help:"Put a backup in the place of a store."`
	Sessions sessionsCmd `cmd:"" help:"Delete what is kept of a subject."`
	Store    storeCmd    `cmd:"" help:"Check or encrypt a store."`
	Audit    auditCmd    `cmd:"" help:"Verify or search the audit log."`
	Config   configCmd   `cmd:"" help:"Check, print or describe the configuration."`
	Health   healthCmd   `cmd:"" help:"Exit with status 0 if a server is ready."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// settings are the flags that stand for the configuration. Their struct is made
// from the configuration's own table, so that a setting is described once.
type settings struct {
	Config string `help:"YAML file with settings." placeholder:"FILE" type:"path"`
	kong.Plugins
}

// command is what every command implements.
type command interface {
	run(ctx context.Context, p process, given map[string][]string) error
}

// run is main without the process: tests call it with their own context,
// arguments and environment.
func run(ctx context.Context, args []string, p process) error {
	var c cli
	names := map[string]bool{}
	flags, err := settingFlags(names)
	if err != nil {
		return err
	}
	c.Serve.Plugins, c.Stdio.Plugins, c.Call.Plugins = flags(), flags(), flags()
	c.Config.Check.Plugins, c.Config.Print.Plugins = flags(), flags()
	exited := false
	parser, err := kong.New(&c,
		kong.Name("lyceum"), kong.Description("A reasoning server for AI agents: exact, reproducible operations over the Model Context Protocol."),
		kong.Writers(p.stdout, p.stderr), kong.Exit(func(int) { exited = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.UsageOnError(), kong.Help(help))
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	parsed, err := parser.Parse(bareSwitches(args))
	if exited { // help was asked for and printed
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (lyceum --help shows how)", err)
	}
	selected, ok := reflect.TypeAssert[command](parsed.Selected().Target.Addr())
	if !ok {
		return errors.New("no such command")
	}
	return selected.run(ctx, p, given(parsed, names))
}

// settingFlags returns a maker of flag structs for every setting, and notes the
// names of the flags.
func settingFlags(names map[string]bool) (func() kong.Plugins, error) {
	var fields []reflect.StructField
	for i, f := range config.Flags() {
		names[f.Name] = true
		typ, tag := reflect.TypeFor[[]string](), `sep:"none" `
		if f.Bool {
			typ, tag = reflect.TypeFor[string](), ""
		}
		// Help is printed from the configuration's table; kong need not show these.
		tag += fmt.Sprintf("name:%q hidden:\"\"", f.Name)
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: typ, Tag: reflect.StructTag(tag)})
	}
	if len(fields) == 0 {
		return nil, errors.New("no settings")
	}
	typ := reflect.StructOf(fields)
	return func() kong.Plugins { return kong.Plugins{reflect.New(typ).Interface()} }, nil
}

// given returns the settings that stand on the command line.
func given(parsed *kong.Context, names map[string]bool) map[string][]string {
	out := map[string][]string{}
	for _, step := range parsed.Path {
		if step.Flag == nil || !names[step.Flag.Name] {
			continue
		}
		switch v := parsed.FlagValue(step.Flag).(type) {
		case []string:
			out[step.Flag.Name] = v
		case string:
			out[step.Flag.Name] = []string{v}
		}
	}
	return out
}

// bareSwitches turns "--dev" into "--dev=true", so that a switch is a setting
// like any other and "--dev=false" works too.
func bareSwitches(args []string) []string {
	switches := map[string]bool{}
	for _, f := range config.Flags() {
		if f.Bool {
			switches["--"+f.Name] = true
		}
	}
	out := make([]string, len(args))
	for i, a := range args {
		if switches[a] {
			a += "=true"
		}
		out[i] = a
	}
	return out
}

// help prints a command's help and, where it takes settings, all of them.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil {
		return nil
	}
	for _, f := range node.Flags {
		if strings.HasPrefix(f.Name, "sessions-") {
			_, _ = fmt.Fprintln(ctx.Stdout)
			return config.Usage(ctx.Stdout)
		}
	}
	return nil
}

// load reads the configuration that a command was given.
func (s settings) load(p process, flags map[string][]string, local bool) (*config.Config, error) {
	return config.Load(config.Source{
		Flags: flags, Env: p.env, Environ: p.environ, File: s.Config, Local: local,
		Ignore: []string{"LYCEUM_URL", "LYCEUM_TOKEN", "LYCEUM_CLIENT_ID", "LYCEUM_CLIENT_SECRET", "LYCEUM_CLIENT_METADATA_URL"},
	})
}
