package tools

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

type sample struct {
	Count   int                `json:"count" default:"3" min:"1" max:"10"`
	Rate    float64            `json:"rate" min:"0" max:"1"`
	Big     uint64             `json:"big"`
	On      bool               `json:"on" default:"true"`
	Mode    string             `json:"mode" enum:"fast|exact" default:"fast"`
	Note    string             `json:"note" maxLen:"10"`
	Maybe   *float64           `json:"maybe"`
	Data    []float64          `json:"data" maxItems:"4"`
	Weights map[string]float64 `json:"weights"`
	Options []option           `json:"options" minItems:"1"`
	Raw     json.RawMessage    `json:"raw"`
	Any     any                `json:"any"`
	Tags    []string           `json:"tags" default:"[\"a\"]"`
	Nested  nested             `json:"nested"`
	embedded
}

type embedded struct {
	Inner int `json:"inner" default:"7"`
}

type nested struct {
	Yes  bool   `json:"yes" default:"true"`
	Must string `json:"must" required:"true"`
}

type option struct {
	Name  string  `json:"name" required:"true"`
	Score float64 `json:"score"`
}

func decodeSample(t *testing.T, text string) (sample, []Issue, []Warning) {
	t.Helper()
	tl := Define(Spec{Name: "sample"}, func(context.Context, *Call, sample) (sample, error) { return sample{}, nil }).(*tool[sample, sample])
	var c Call
	var in sample
	err := tl.decode(&c, json.RawMessage(text), &in)
	if bad, ok := errors.AsType[*BadArguments](err); ok {
		return in, bad.Issues, c.warnings
	} else if err != nil {
		t.Fatal(err)
	}
	return in, nil, c.warnings
}

func TestDecodeLenient(t *testing.T) {
	three := 3.0
	tests := []struct {
		name, text string
		want       func(*sample)
	}{
		{"defaults", `{}`, func(*sample) {}},
		{"nothing", ``, func(*sample) {}},
		{"null is absent", `{"count":null,"mode":null}`, func(*sample) {}},
		{"number in a string", `{"count":"5","rate":" 0.5 ","big":"18446744073709551615"}`, func(s *sample) { s.Count, s.Rate, s.Big = 5, .5, 1<<64-1 }},
		{"whole number as float", `{"count":5.0,"big":1e3}`, func(s *sample) { s.Count, s.Big = 5, 1000 }},
		{"big integers are exact", `{"big":9007199254740993}`, func(s *sample) { s.Big = 9007199254740993 }},
		{"bool in a string", `{"on":"FALSE"}`, func(s *sample) { s.On = false }},
		{"string from a number", `{"note":12.50}`, func(s *sample) { s.Note = "12.50" }},
		{"array in a string", `{"data":"[1, 2.5]"}`, func(s *sample) { s.Data = []float64{1, 2.5} }},
		{"numbers as strings in an array", `{"data":["1","2"]}`, func(s *sample) { s.Data = []float64{1, 2} }},
		{"objects in a string", `{"options":"[{\"name\":\"x\",\"score\":\"2\"}]"}`, func(s *sample) { s.Options = []option{{"x", 2}} }},
		{"whole input in a string", `"{\"count\":4}"`, func(s *sample) { s.Count = 4 }},
		{"map", `{"weights":{"a":"1","b":2}}`, func(s *sample) { s.Weights = map[string]float64{"a": 1, "b": 2} }},
		{"pointer", `{"maybe":"3"}`, func(s *sample) { s.Maybe = &three }},
		{"raw and any", `{"raw":{"x":1},"any":[true]}`, func(s *sample) { s.Raw, s.Any = json.RawMessage(`{"x":1}`), []any{true} }},
		{"an object that was sent", `{"nested":{"must":"x"}}`, func(s *sample) { s.Nested.Must = "x" }},
		{"embedded", `{"inner":1}`, func(s *sample) { s.Inner = 1 }},
		{"zero is not absent", `{"rate":0,"on":false}`, func(s *sample) { s.On = false }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := sample{Count: 3, On: true, Mode: "fast", Tags: []string{"a"}, embedded: embedded{7}, Nested: nested{Yes: true}}
			tt.want(&want)
			got, issues, _ := decodeSample(t, tt.text)
			if issues != nil {
				t.Fatalf("refused: %v", issues)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDecodeReportsEverything(t *testing.T) {
	_, issues, warnings := decodeSample(t, `{"count":11,"rate":"many","mode":"slow","note":"far too long a note","data":[1,2,3,4,5],
		"weights":{"a":"x"},"options":[{"score":1},{"name":{}}],"cuont":1,"zzz":2}`)
	want := []Issue{
		{"parameters.count", "a whole number from 1 to 10", "11"},
		{"parameters.data", "at most 4 items", "5 items"},
		{"parameters.mode", "one of fast, exact", `"slow"`},
		{"parameters.note", "at most 10 bytes (got 19)", `"far too long a note"`},
		{"parameters.options[0].name", "a string", "nothing"},
		{"parameters.options[1].name", "a string", "{}"},
		{"parameters.rate", "a finite number from 0 to 1", `"many"`},
		{"parameters.weights.a", "a finite number", `"x"`},
	}
	if !slices.Equal(issues, want) {
		t.Errorf("issues:\n got %q\nwant %q", issues, want)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0].Message, "did you mean count?") {
		t.Errorf("warnings %v, want two, the first with a proposal", warnings)
	}
}

func TestDecodeRefusesWhatIsNotANumber(t *testing.T) {
	for _, text := range []string{`"NaN"`, `"Infinity"`, `"-inf"`, `1e999`, `"0x10"`, `"1_000"`, `""`, `[]`, `{}`, `true`} {
		if _, issues, _ := decodeSample(t, `{"rate":`+text+`}`); len(issues) != 1 {
			t.Errorf("rate %s: issues %v, want one", text, issues)
		}
	}
	for _, text := range []string{`1.5`, `"3.2"`, `1e40`, `9223372036854775808`} {
		if _, issues, _ := decodeSample(t, `{"count":`+text+`}`); len(issues) != 1 {
			t.Errorf("count %s: issues %v, want one", text, issues)
		}
	}
	if _, issues, _ := decodeSample(t, `{"big":-1}`); len(issues) != 1 {
		t.Error("a negative unsigned number was accepted")
	}
}

// A default that is a slice must not be shared between calls.
func TestDefaultsAreFresh(t *testing.T) {
	a, _, _ := decodeSample(t, `{}`)
	a.Tags[0] = "changed"
	if b, _, _ := decodeSample(t, `{}`); b.Tags[0] != "a" {
		t.Error("one call changed the default of the next")
	}
}

func TestIssuesAreBounded(t *testing.T) {
	_, issues, _ := decodeSample(t, `{"options":[`+strings.Repeat(`{},`, 500)+`{}]}`)
	if len(issues) == 0 || len(issues) > maxIssues+1 {
		t.Errorf("%d issues, want 1 to %d", len(issues), maxIssues+1)
	}
}

func TestCommonParameters(t *testing.T) {
	var got Call
	tl := Define(Spec{Name: "x", Scope: policy.Reason, Lane: work.Inline, Method: "m"}, func(_ context.Context, c *Call, _ option) (option, error) {
		c.Seed()
		got = *c
		return option{}, nil
	})
	c := &Call{}
	c.Limits.Steps = 100
	if _, err := tl.Invoke(t.Context(), c, json.RawMessage(`{"name":"n","seed":"12345678901234567890","maxSteps":500,"maxNodes":7,"maxMillis":20}`)); err != nil {
		t.Fatal(err)
	}
	if got.Seed() != 12345678901234567890 || got.Limits.Steps != 100 || got.Limits.Nodes != 7 || got.Limits.Time.Milliseconds() != 20 {
		t.Errorf("seed %d limits %+v", got.Seed(), got.Limits)
	}
	if len(c.warnings) != 1 || c.warnings[0].Code != "limit_lowered" {
		t.Errorf("warnings %v, want one about the lowered limit", c.warnings)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"count":"5"}`, `"{\"data\":\"[1]\"}"`, `{"options":[{"name":1}]}`, `[`, `{"weights":{"a":1e999}}`} {
		f.Add(s)
	}
	tl := Define(Spec{Name: "sample"}, func(context.Context, *Call, sample) (sample, error) { return sample{}, nil }).(*tool[sample, sample])
	f.Fuzz(func(t *testing.T, text string) {
		var c Call
		var in sample
		err := tl.decode(&c, json.RawMessage(text), &in)
		if err != nil {
			if _, ok := errors.AsType[*BadArguments](err); !ok {
				t.Fatalf("%q gave %v", text, err)
			}
			return
		}
		if in.Rate < 0 || in.Rate > 1 || in.Count < 1 || in.Count > 10 || len(in.Data) > 4 {
			t.Fatalf("%q passed the bounds: %+v", text, in)
		}
	})
}
