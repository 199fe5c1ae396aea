package config

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/nearest"
)

func TestFormats(t *testing.T) {
	tests := []struct {
		format string
		good   []string
		bad    []string
	}{
		{"path", []string{"a", "/var/lib/x y", "C:\\x"}, []string{"", "a\x00b"}},
		{"file_or_empty", []string{"", "/run/keys/a b"}, []string{"a\x00b"}},
		{"word", []string{"", "urn:x", "ü"}, []string{"a b", "a\n", "\x7f", "\u00a0"}},
		{"hostport", []string{":0", "127.0.0.1:8383", "[::1]:80", "localhost:65535", "[fe80::1%eth0]:1"}, []string{"", "8383", "localhost", "::1:80", "a:65536", "a:-1", "a:080", "a:", "a b:1", "a:http", "..:1", ".a:1"}},
		{"hostport_or_empty", []string{"", ":9090"}, []string{"9090"}},
		{"url", []string{"", "http://a", "https://a.example:8443/base/"}, []string{"a.example", "ftp://a", "https://", "https://u:p@a", "https://a?x=1", "https://a?", "https://a#f", "https://a#", "https:a", "https://a:0x1", "https://a b", "https://[::1"}},
		{"secure_url", []string{"", "https://a", "http://localhost:1", "http://127.9.9.9", "http://[::1]/x", "http://[::ffff:127.0.0.1]/"}, []string{"http://a", "http://10.0.0.1", "http://localhost.example"}},
		{"origin", []string{"https://a", "http://a:80", "vscode-webview://abc", "https://[::1]:8383"}, []string{"", "*", "null", "a", "https://", "https://a/", "https://a?x", "https://u@a", "https://a:x"}},
		{"sha256", []string{strings.Repeat("0aF9", 16)}, []string{"", strings.Repeat("a", 63), strings.Repeat("a", 65), strings.Repeat("g", 64)}},
		{"moment", []string{"", "2027-01-31T12:00:00Z", "2027-01-31T12:00:00+02:00"}, []string{"2027-01-31", "tomorrow", "2027-02-30T00:00:00Z"}},
		{"host", []string{"a", "a.example:80", "[::1]:80", "::1", "10.0.0.1"}, []string{"", "*", "*.a", "a/b", "a:b", "https://a", strings.Repeat("a", 254)}},
	}
	for _, tt := range tests {
		for _, s := range tt.good {
			if !formats[tt.format].ok(s) {
				t.Errorf("%s refuses %q", tt.format, s)
			}
		}
		for _, s := range tt.bad {
			if formats[tt.format].ok(s) {
				t.Errorf("%s takes %q", tt.format, s)
			}
		}
	}
	if len(tests) != len(formats)-1 { // the one without a name takes everything
		t.Errorf("%d formats are tested, there are %d", len(tests), len(formats)-1)
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.1.2.3:1": true, "localhost:1": true, "LOCALHOST:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "localhost.example:1": false, "1": false,
	} {
		if got := loopbackAddr(addr); got != want {
			t.Errorf("loopbackAddr(%q) = %v", addr, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	tests := []struct {
		kind kind
		text string
		want float64 // NaN: refused
	}{
		{whole, "12", 12},
		{whole, "-1_000", -1000},
		{whole, "1.5", math.NaN()},
		{whole, "0x10", math.NaN()},
		{whole, "010", 10},
		{whole, "9223372036854775808", math.NaN()},
		{fraction, "1e-3", 0.001},
		{fraction, "NaN", math.NaN()},
		{fraction, "Inf", math.NaN()},
		{duration, "1h30m", float64(90 * time.Minute)},
		{duration, "0", 0},
		{duration, "90", math.NaN()},
		{duration, "-1s", -float64(time.Second)},
		{size, "0", 0},
		{size, "1_024", 1024},
		{size, "1KiB", 1024},
		{size, "64 MiB", 64 << 20},
		{size, "2GiB", 2 << 30},
		{size, "7B", 7},
		{size, "-1", math.NaN()},
		{size, "1.5MiB", math.NaN()},
		{size, "1MB", math.NaN()},
		{size, "KiB", math.NaN()},
	}
	for _, tt := range tests {
		got, reason := (&setting{kind: tt.kind}).parseNumber(tt.text)
		if refused := math.IsNaN(tt.want); refused != (reason != "") || !refused && got != tt.want {
			t.Errorf("%q as kind %d: %v, %q; want %v", tt.text, tt.kind, got, reason, tt.want)
		}
	}
	if _, reason := (&setting{kind: whole, typ: settings.byPath["work.tickets"].typ}).parse("9007199254740993"); reason == "" {
		t.Error("a number that a float64 cannot hold was taken")
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h",
		90 * time.Minute: "1h30m", 100 * time.Hour: "100h", time.Hour + time.Second: "1h0m1s", 500 * time.Microsecond: "500µs",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(formatDuration(d)); err != nil || back != d {
			t.Errorf("%v is read back as %v, %v", d, back, err)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1: "1", 1000: "1000", 1024: "1KiB", 1536: "1536", 1 << 20: "1MiB", 3 << 30: "3GiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	candidates := settings.names()
	for name, want := range map[string]string{
		"session": "sessions", "sessions.idle_tll": "sessions.idle_ttl", "adr": "addr", "max_streams_per_owner": "http.max_streams_per_owner",
		"loglevel": "log.level", "zzzzzzzz": "", "x": "", strings.Repeat("sessions", 100): "",
	} {
		if got := meant(name, candidates); got != want {
			t.Errorf("nearest to %.30q: %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"saturday", "sunday", 3}, {"same", "same", 0}} {
		if got := nearest.Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("nearest.Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
