package load

import (
	"reflect"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestParseMix(t *testing.T) {
	calls := Classes()
	mix, err := ParseMix("light=9, heavy=2,describe", calls)
	if err != nil {
		t.Fatal(err)
	}
	want := []Share{{calls[0], 9}, {calls[3], 2}, {calls[1], 1}}
	if !reflect.DeepEqual(mix, want) {
		t.Errorf("mix = %+v", mix)
	}
	for _, text := range []string{"", " , ", "ligth=9", "light=0", "light=-1", "light=1.5", "light=", "light=1000001", "=3"} {
		if _, err := ParseMix(text, calls); fault.KindOf(err) != fault.Invalid {
			t.Errorf("mix %q: %v, want an invalid", text, err)
		}
	}
}

func TestParseGroup(t *testing.T) {
	calls := Classes()
	base := Group{Name: "all", Tokens: []string{"base"}, Connections: 8, Rate: 3, Mix: []Share{{calls[0], 1}}}
	for _, tt := range []struct {
		text string
		want Group
	}{
		{"quiet", Group{"quiet", []string{"base"}, 8, 3, base.Mix}},
		{"quiet:", Group{"quiet", []string{"base"}, 8, 3, base.Mix}},
		{"quiet:token=a.b==,connections=1,rate=10", Group{"quiet", []string{"a.b=="}, 1, 10, base.Mix}},
		{"n:token=x,token=y,rate=0,mix=light=9+heavy=1", Group{"n", []string{"x", "y"}, 8, 0, []Share{{calls[0], 9}, {calls[3], 1}}}},
	} {
		if got, err := ParseGroup(tt.text, base, calls); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v", tt.text, got, err)
		}
	}
	for _, text := range []string{"", ":", "Total", "total:rate=1", "a b:", "q:speed=1", "q:rate=fast", "q:connections=0", "q:connections=x", "q:mix=none", "q:mix="} {
		if g, err := ParseGroup(text, base, calls); fault.KindOf(err) != fault.Invalid {
			t.Errorf("group %q: %+v, %v, want an invalid", text, g, err)
		}
	}
}

func FuzzParseGroup(f *testing.F) {
	f.Add("quiet:token=a,connections=1,rate=10,mix=light=9+heavy=1")
	f.Add("x:rate=NaN,connections=99999999999")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseGroup(text, Group{Connections: 1, Mix: mixOf(1)}, Classes())
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v is not an invalid", text, err)
			}
			return
		}
		if !nameForm.MatchString(g.Name) || g.Connections < 1 || len(g.Mix) == 0 {
			t.Errorf("%q gives %+v", text, g)
		}
		// What was read is either a plan that can run or one that is refused.
		p := Plan{URL: "http://127.0.0.1/mcp", Groups: []Group{g}}.withDefaults()
		if err := p.validate(); err == nil && (g.Rate > MaxRate || g.Connections > MaxConnections || g.Rate != g.Rate) {
			t.Errorf("%q passes: %+v", text, g)
		}
	})
}

func TestParseCheck(t *testing.T) {
	for _, tt := range []struct {
		what, text string
		want       Check
	}{
		{MaxP99, "20ms", Check{MaxP99, "", 20}},
		{MaxP99, "quiet=1.5s", Check{MaxP99, "quiet", 1500}},
		{MaxErrors, "1%", Check{MaxErrors, "", 0.01}},
		{MaxErrors, "a=0.25", Check{MaxErrors, "a", 0.25}},
		{MinRate, "100", Check{MinRate, "", 100}},
		{MaxRatio, "2.5", Check{MaxRatio, "", 2.5}},
	} {
		if got, err := ParseCheck(tt.what, tt.text); err != nil || got != tt.want {
			t.Errorf("%s %s: %+v, %v", tt.what, tt.text, got, err)
		}
	}
	for _, bad := range [][2]string{{MaxP99, "20"}, {MaxP99, "-1s"}, {MaxErrors, "x%"}, {MinRate, "NaN"}, {MinRate, "Inf"}, {MaxRatio, ""}, {MinRate, "a=b=1"}} {
		if c, err := ParseCheck(bad[0], bad[1]); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s %q: %+v, %v, want an invalid", bad[0], bad[1], c, err)
		}
	}
}

func valid() Plan {
	return Plan{URL: "http://127.0.0.1:1/mcp", Groups: []Group{{Name: "all"}}}
}

func TestPlanIsRefused(t *testing.T) {
	two := []Group{{Name: "a"}, {Name: "b"}}
	for name, tt := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"no url":             {func(p *Plan) { p.URL = "" }, "it must be like http"},
		"other scheme":       {func(p *Plan) { p.URL = "ftp://127.0.0.1/" }, "it must be like http"},
		"credentials in url": {func(p *Plan) { p.URL = "http://a:b@127.0.0.1/" }, "credentials belong"},
		"era":                {func(p *Plan) { p.Era = "2024-11-05" }, "era"},
		"tool":               {func(p *Plan) { p.Tool = "a\nb" }, "plain ASCII"},
		"long":               {func(p *Plan) { p.Warmup, p.Duration = 50*60e9, 11*60e9 }, "up to 1h"},
		"negative duration":  {func(p *Plan) { p.Duration = -1 }, "duration"},
		"timeout":            {func(p *Plan) { p.Timeout = MaxTimeout + 1 }, "timeout"},
		"calls":              {func(p *Plan) { p.MaxCalls = MaxCalls + 1 }, "max calls"},
		"late":               {func(p *Plan) { p.LateAfter = -1 }, "late after"},
		"no group":           {func(p *Plan) { p.Groups = nil }, "0 groups"},
		"many groups":        {func(p *Plan) { p.Groups = make([]Group, MaxGroups+1) }, "65 groups"},
		"bad name":           {func(p *Plan) { p.Groups[0].Name = "All" }, "lower-case"},
		"name twice":         {func(p *Plan) { p.Groups = []Group{{Name: "a"}, {Name: "a"}} }, "used once"},
		"reserved name":      {func(p *Plan) { p.Groups[0].Name = "total" }, `"total"`},
		"alone":              {func(p *Plan) { p.Fairness = true }, "at least one other"},
		"no such quiet":      {func(p *Plan) { p.Groups, p.Quiet = two, "c" }, "no such group"},
		"connections":        {func(p *Plan) { p.Groups[0].Connections = -1 }, "at least 1"},
		"many connections":   {func(p *Plan) { p.Groups[0].Connections = MaxConnections + 1 }, "may have 4096"},
		"rate":               {func(p *Plan) { p.Groups[0].Rate = 1e-9 }, "at least 0.001"},
		"rate of all":        {func(p *Plan) { p.Groups[0].Rate = MaxRate + 1 }, "may have 100000"},
		"more than calls":    {func(p *Plan) { p.Groups[0].Rate, p.MaxCalls = 100, 500 }, "1000 calls"},
		"token":              {func(p *Plan) { p.Groups[0].Tokens = []string{"a b"} }, "token"},
		"empty token":        {func(p *Plan) { p.Groups[0].Tokens = []string{""} }, "token"},
		"arguments":          {func(p *Plan) { p.Groups[0].Mix = []Share{{Call{"x", []byte(`[]`)}, 1}} }, "JSON object"},
		"null arguments":     {func(p *Plan) { p.Groups[0].Mix = []Share{{Call{"x", []byte(`null`)}, 1}} }, "JSON object"},
		"large arguments":    {func(p *Plan) { p.Groups[0].Mix = []Share{{Call{"x", make([]byte, MaxArguments+1)}, 1}} }, "bytes of arguments"},
		"weight":             {func(p *Plan) { p.Groups[0].Mix = []Share{{Call{"x", []byte(`{}`)}, 0}} }, "weight"},
		"call twice":         {func(p *Plan) { p.Groups[0].Mix = append(mixOf(1), mixOf(1)...) }, "used once in a mix"},
		"many calls":         {func(p *Plan) { p.Groups[0].Mix = make([]Share, MaxShares+1) }, "mix of 33"},
		"ratio alone":        {func(p *Plan) { p.Checks = []Check{{What: MaxRatio}} }, "only a fairness run"},
		"ratio of noisy":     {func(p *Plan) { p.Groups, p.Fairness, p.Checks = two, true, []Check{{MaxRatio, "b", 1}} }, "only the quiet group"},
		"unknown check":      {func(p *Plan) { p.Checks = []Check{{What: "max-fun"}} }, "no such check"},
		"check of nobody":    {func(p *Plan) { p.Checks = []Check{{MaxP99, "zoe", 1}} }, `no group "zoe"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := valid()
			tt.change(&p)
			r, err := Run(t.Context(), p)
			if r != nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an invalid with %q", err, tt.want)
			}
		})
	}
	p := valid()
	p.URL, p.Era, p.MaxCalls = "", "x", -1
	if _, err := Run(t.Context(), p); strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three mistakes are told as %q", err)
	}
}

func TestOnlyThisMachineIsATarget(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1/mcp": true, "http://127.8.9.10:80/": true, "https://[::1]:8383/mcp": true, "http://localhost:1/": true,
		"http://LOCALHOST/": true, "http://[::ffff:127.0.0.1]/": true,
		"http://10.0.0.1/": false, "http://192.168.1.1/": false, "http://0.0.0.0/": false, "http://[::]/": false,
		"http://example.com/": false, "http://localhost.example.com/": false, "http://127.0.0.1.example.com/": false, "http://[fe80::1]/": false,
	} {
		p := valid()
		p.URL = url
		p = p.withDefaults()
		if err := p.validate(); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
		p.AllowRemote = true
		if err := p.validate(); err != nil {
			t.Errorf("%s allowed explicitly: %v", url, err)
		}
	}
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "10.0.0.1:80": false, "[2001:db8::1]:80": false, "/run/socket": false,
	} {
		if err := onlyLoopback("tcp", address, nil); (err == nil) != want {
			t.Errorf("dialing %s: %v", address, err)
		}
	}
	// It is asked before anything is sent.
	p := valid().withDefaults()
	if _, err := newEndpoint(&p, 1).transport.DialContext(t.Context(), "tcp", "192.0.2.1:80"); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("dialing another machine: %v, want a forbidden", err)
	}
}
