package config

import (
	"fmt"
	"io"
	"strings"
)

// Flag describes a setting to the command line.
type Flag struct {
	Name    string // without dashes: "sessions-idle-ttl"
	Env     string // "LYCEUM_SESSIONS_IDLE_TTL"
	Key     string // "sessions.idle_ttl"
	Type    string // the word that stands for a value: "DURATION"; empty for a switch
	Default string // as one would write it; may be empty
	Range   string // " from 1s to 720h", or empty
	Enum    []string
	Doc     string
	Section string // heading: "Reasoning sessions"; empty for settings without a section
	Bool    bool   // a switch: the value may be left out and is then true
	List    bool   // may be repeated
	Secret  bool   // better given by the environment: a command line is public
}

// Flags returns every setting in the order of Config.
func Flags() []Flag { return settings.flags() }

func (tab *table) flags() []Flag {
	titles := map[string]string{}
	for _, s := range tab.sections {
		titles[s.path] = s.doc
	}
	flags := make([]Flag, len(tab.settings))
	for i, s := range tab.settings {
		flags[i] = Flag{
			Name: s.flag(), Env: s.env(), Key: s.path, Type: s.word(), Default: s.def, Range: s.span(), Enum: s.enum,
			Doc: s.doc, Section: titles[s.section],
			Bool: s.kind == boolean, List: s.kind == list || s.kind == objects, Secret: s.kind == secret,
		}
	}
	return flags
}

// word stands for a value in the list of flags.
func (s *setting) word() string {
	switch s.kind {
	case boolean:
		return ""
	case whole:
		return "N"
	case fraction:
		return "X"
	case duration:
		return "DURATION"
	case size:
		return "SIZE"
	case network:
		return "NETWORK"
	case list:
		return s.elem.word() + ",…"
	case objects:
		return "YAML"
	}
	if len(s.enum) > 0 && s.def != "" && len(s.enum) <= 4 {
		return strings.Join(s.enum, "|")
	}
	return formats[s.format].word
}

// Usage writes what -h says about the settings: every flag, its variable, its
// meaning, default and range.
func Usage(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Settings. Each is a flag, an environment variable and a key of the YAML file\n" +
		"(--sessions-idle-ttl, LYCEUM_SESSIONS_IDLE_TTL, sessions.idle_ttl); a flag beats\n" +
		"a variable, which beats the file, which beats the default. A switch is turned\n" +
		"off with --NAME=false.\n")
	section := ""
	for i, f := range Flags() {
		if f.Section != section || i == 0 {
			section = f.Section
			if section != "" {
				b.WriteString("\n" + section + "\n")
			} else {
				b.WriteString("\n")
			}
		}
		fmt.Fprintf(&b, "  --%s\n      %s%s [%s]\n", strings.TrimSpace(f.Name+" "+f.Type), f.Doc, f.notes(), f.Env)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notes says the default and the range.
func (f Flag) notes() string {
	var notes []string
	if f.Default != "" && !f.Secret {
		notes = append(notes, "default "+f.Default)
	}
	if f.Range != "" {
		notes = append(notes, strings.TrimSpace(f.Range))
	}
	if f.List {
		notes = append(notes, "may be repeated")
	}
	if notes == nil {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}
