package config

import (
	"errors"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	koanfmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
)

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "LYCEUM_"

// fileVariable names the configuration file in the environment.
const fileVariable = envPrefix + "CONFIG"

// Source is what a process was told.
type Source struct {
	// Flags are the flags that were given, by name without dashes ("addr",
	// "sessions-idle-ttl"), each with its values in order. Of a setting with
	// one value the last counts; a list joins them all. A switch without a
	// value is "true".
	Flags map[string][]string

	// Env looks up an environment variable; nil is an empty environment.
	Env func(string) (string, bool)

	// Environ lists the environment, as os.Environ does or by names only, so
	// that unknown LYCEUM_ variables are found.
	Environ []string

	// Ignore lists LYCEUM_ variables that belong to others than the settings.
	Ignore []string

	// File is the path of the YAML file; empty takes LYCEUM_CONFIG, and none
	// if that is unset too.
	File string

	// Local says that the process opens no listener: it serves the local user
	// over stdio. What only matters to a listener is not checked then.
	Local bool
}

// Load returns the configuration that src describes. The error is a Problems
// with everything that is wrong.
func Load(src Source) (*Config, error) {
	c := &Config{}
	origins, wrong := settings.load(src, reflect.ValueOf(c).Elem())
	c.origins = origins
	failed := map[string]bool{}
	for _, p := range wrong {
		failed[topLevel(p.Path)] = true
	}
	wrong = append(wrong, c.check(!src.Local, failed)...)
	if len(wrong) == 0 {
		return c, nil
	}
	wrong.sort()
	return nil, wrong
}

// topLevel returns the setting that the path of an element belongs to.
func topLevel(path string) string {
	before, _, _ := strings.Cut(path, "[")
	return before
}

// layer is what one source sets, by path. It is a koanf.Provider.
type layer struct {
	values   map[string]any
	origins  map[string]Origin
	problems Problems
}

func newLayer() layer { return layer{values: map[string]any{}, origins: map[string]Origin{}} }

func (l *layer) set(s *setting, raw any, o Origin) {
	l.values[s.path], l.origins[s.path] = raw, o
}

// Read returns the values as nested maps.
func (l layer) Read() (map[string]any, error) { return koanfmaps.Unflatten(l.values, "."), nil }

// ReadBytes is the half of the interface that has no use here.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.New("a layer has values, not bytes") }

// load fills target, a value of the table's struct, from the layers of src and
// returns where each value came from.
func (tab *table) load(src Source, target reflect.Value) (map[string]Origin, Problems) {
	return tab.merge([]layer{tab.defaults(), tab.fromFile(src), tab.fromEnv(src), tab.fromFlags(src)}, target)
}

// merge fills target from the layers, the later over the earlier. The first
// one has every setting.
func (tab *table) merge(layers []layer, target reflect.Value) (map[string]Origin, Problems) {
	merged := koanf.New(".")
	d := decoder{origins: map[string]Origin{}}
	for _, l := range layers {
		d.problems = append(d.problems, l.problems...)
		if err := merged.Load(l, nil); err != nil {
			d.problems = append(d.problems, Problem{Path: "configuration", Reason: err.Error()})
		}
		for path := range l.values { // forget the elements of a list that is replaced
			for old := range d.origins {
				if strings.HasPrefix(old, path+"[") {
					delete(d.origins, old)
				}
			}
		}
		maps.Copy(d.origins, l.origins)
	}
	tab.setDefaults(target)
	for _, s := range tab.settings {
		if v, ok := d.decode(s, s.path, merged.Get(s.path)); ok {
			target.FieldByIndex(s.index).Set(v)
		}
	}
	return d.origins, d.problems
}

func (tab *table) defaults() layer {
	l := newLayer()
	for _, s := range tab.settings {
		l.values[s.path] = s.def
	}
	return l
}

func (tab *table) fromFile(src Source) layer {
	path, l := src.File, newLayer()
	if path == "" && src.Env != nil {
		path, _ = src.Env(fileVariable)
	}
	if path == "" {
		return l
	}
	data, err := readFile(path)
	if err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		l.problems = append(l.problems, Problem{
			Path: path, Reason: "the configuration file cannot be read: " + err.Error(), Origin: Origin{layer: fromFile, name: path},
			Mend: "name a readable YAML file with --config or " + fileVariable,
		})
		return l
	}
	return parseFile(path, data, tab)
}

// serviceLink matches the variables that Kubernetes gives every container for a
// service named lyceum. They are not meant for us.
var serviceLink = regexp.MustCompile(`^LYCEUM_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func (tab *table) fromEnv(src Source) layer {
	l := newLayer()
	known := append([]string{fileVariable}, src.Ignore...)
	for _, s := range tab.settings {
		known = append(known, s.env())
		if src.Env == nil {
			continue
		}
		if value, ok := src.Env(s.env()); ok {
			l.set(s, value, Origin{layer: fromEnv, name: s.env()})
		}
	}
	for _, entry := range src.Environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !serviceLink.MatchString(name) {
			l.problems = append(l.problems, unknown(name, Origin{layer: fromEnv, name: name}, meant(name, known)))
		}
	}
	return l
}

func (tab *table) fromFlags(src Source) layer {
	l := newLayer()
	known := map[string]bool{}
	var names []string
	for _, s := range tab.settings {
		known[s.flag()] = true
		names = append(names, "--"+s.flag())
		if values := src.Flags[s.flag()]; len(values) > 0 {
			origin := Origin{layer: fromFlag, name: s.flag()}
			raw, err := joined(s, values)
			if err != nil {
				l.problems = append(l.problems, Problem{Path: s.path, Value: strings.Join(values, " "), Reason: err.Error(), Origin: origin, Allowed: s.allowed()})
				continue
			}
			l.set(s, raw, origin)
		}
	}
	for name := range src.Flags {
		if !known[name] {
			l.problems = append(l.problems, unknown("--"+name, Origin{layer: fromFlag, name: name}, meant("--"+name, names)))
		}
	}
	return l
}

// joined makes one raw value of the values of a flag.
func joined(s *setting, values []string) (any, error) {
	if s.kind != list && s.kind != objects || len(values) == 1 {
		return values[len(values)-1], nil
	}
	var all []any
	for _, value := range values {
		if s.kind == list {
			part, _ := items(value)
			all = append(all, part...)
			continue
		}
		part, err := parseInline(value)
		if err != nil {
			return nil, err
		}
		if several, ok := part.([]any); ok {
			all = append(all, several...)
		} else {
			all = append(all, part)
		}
	}
	return all, nil
}

// Validate checks a configuration that was changed after Default: every
// setting's range and everything between settings, as for a process that
// listens. The error is a Problems.
func (c *Config) Validate() error {
	d := decoder{origins: c.origins}
	v := reflect.ValueOf(c).Elem()
	for _, s := range settings.settings {
		if s.kind != secret {
			d.decode(s, s.path, s.encode(v.FieldByIndex(s.index)))
		}
	}
	failed := map[string]bool{}
	for _, p := range d.problems {
		failed[topLevel(p.Path)] = true
	}
	if d.problems = append(d.problems, c.check(true, failed)...); len(d.problems) == 0 {
		return nil
	}
	d.problems.sort()
	return d.problems
}
