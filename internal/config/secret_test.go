package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const hidden = "hunter2"

// vault holds secrets the way a configuration does, and as a careless struct.
type vault struct {
	Store  string   `key:"store" default:"memory" doc:"where"`
	Key    Secret   `key:"key" default:"" doc:"what opens it"`
	Others []Secret `key:"others" maxItems:"3" default:"" doc:"more of them"`

	private Secret
}

func TestSecretIsNeverWritten(t *testing.T) {
	s := NewSecret(hidden)
	v := vault{Key: s, Others: []Secret{s}, private: s}
	written := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%e", "%T"} {
		written["fmt "+verb] = fmt.Sprintf(verb, s)
		written["fmt struct "+verb] = fmt.Sprintf(verb, v)
		written["fmt pointer "+verb] = fmt.Sprintf(verb, &v)
	}
	marshal := func(name string, data []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		written[name] = string(data)
	}
	data, err := json.Marshal(v)
	marshal("json", data, err)
	data, err = yaml.Marshal(v)
	marshal("yaml", data, err)
	data, err = s.MarshalText()
	marshal("text", data, err)
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"slog text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"slog json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("m", "secret", s, "vault", v, "pointer", &v)
		written[name] = out.String()
		if !strings.Contains(out.String(), mask) {
			t.Errorf("%s: no mask in %s", name, out.String())
		}
	}
	for name, text := range written {
		for _, leak := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden)} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows the secret: %s", name, text)
			}
		}
	}
	if got := s.String(); got != mask {
		t.Errorf("String = %q", got)
	}
	if s.Reveal() != hidden || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not give back the text")
	}
}

func TestSecretSettings(t *testing.T) {
	tab := tableOf(reflect.TypeFor[vault]())
	load := func(flags map[string][]string) (vault, map[string]Origin, Problems) {
		var v vault
		origins, wrong := tab.load(Source{Flags: flags}, reflect.ValueOf(&v).Elem())
		return v, origins, wrong
	}

	v, origins, wrong := load(map[string][]string{"key": {hidden}})
	if len(wrong) > 0 || v.Key.Reveal() != hidden {
		t.Fatalf("key %q, problems %v", v.Key.Reveal(), wrong)
	}
	var out bytes.Buffer
	if err := yaml.NewEncoder(&out).Encode(tab.document(reflect.ValueOf(v), origins)); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "store: memory # default\nkey: '***' # flag --key\nothers: [] # default\n"; got != want {
		t.Errorf("printed\n%swant\n%s", got, want)
	}

	for name, value := range map[string]string{"the mask": mask, "too long": strings.Repeat(hidden, 1000)} {
		_, _, wrong = load(map[string][]string{"key": {value}})
		if len(wrong) != 1 || strings.Contains(wrong.Error(), hidden) {
			t.Errorf("%s: problems %v, want one that does not show the value", name, wrong)
		}
	}
	flags := tab.flags()
	if !flags[1].Secret || strings.Contains(flags[1].notes(), "default") {
		t.Errorf("flag %+v", flags[1])
	}
	if _, shown := tab.byPath["key"].schema()["default"]; shown {
		t.Error("the schema shows a secret's default")
	}
}
