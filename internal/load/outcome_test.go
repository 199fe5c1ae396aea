package load

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// streamed sends events of a stream, flushing each.
func streamed(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, e := range events {
		fmt.Fprint(w, e)
		_ = http.NewResponseController(w).Flush()
	}
}

func event(text string, args ...any) string {
	return "event: message\ndata: " + fmt.Sprintf(text, args...) + "\n\n"
}

func status(code int, head ...string) func(http.ResponseWriter, *http.Request, *received) {
	return func(w http.ResponseWriter, _ *http.Request, _ *received) {
		for i := 0; i+1 < len(head); i += 2 {
			w.Header().Set(head[i], head[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"come\nback"}}`)
	}
}

func raw(body string) func(http.ResponseWriter, *http.Request, *received) {
	return func(w http.ResponseWriter, _ *http.Request, m *received) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.ReplaceAll(body, "ID", string(m.ID)))
	}
}

// Whatever a server does, the call is counted once and as what it was.
func TestOutcomes(t *testing.T) {
	const hang = time.Second
	for name, tt := range map[string]struct {
		serve func(http.ResponseWriter, *http.Request, *received)
		want  string
		text  string // what the report says of it
	}{
		"json":             {raw(`{"jsonrpc":"2.0","id":ID,"result":{}}`), "ok", ""},
		"structured array": {raw(`{"jsonrpc":"2.0","id":ID,"result":{"structuredContent":[1]}}`), "ok", ""},
		"stream": {func(w http.ResponseWriter, _ *http.Request, m *received) {
			streamed(w, event(`{"id":%s,"result":{}}`, m.ID))
		}, "ok", ""},
		"stream with noise": {func(w http.ResponseWriter, _ *http.Request, m *received) {
			streamed(w, ":\n\n", event(`{"method":"notifications/message","params":{}}`), event(`{"id":%s,"result":{}}`, m.ID), ":\n\n")
		}, "ok", ""},
		"tool error":      {raw(`{"id":ID,"result":{"isError":true,"content":[{"type":"text","text":"no\tsuch option"}]}}`), "tool_error", "no such option"},
		"mute tool error": {raw(`{"id":ID,"result":{"isError":true}}`), "tool_error", ""},
		"rpc error":       {raw(`{"id":ID,"error":{"code":-32602,"message":"unknown tool"}}`), "rpc_error", "-32602 unknown tool"},
		"429":             {status(429, "Retry-After", "3"), "http_429", "come back"},
		"503":             {status(503), "http_503", "come back"},
		"400":             {status(400), "http_other", "400 come back"},
		"redirect":        {status(307, "Location", "http://127.0.0.1/elsewhere"), "http_other", "307 come back"},
		"no json":         {raw(`hello`), "bad_answer", "not JSON-RPC"},
		"empty":           {raw(``), "bad_answer", "no answer"},
		"accepted":        {func(w http.ResponseWriter, _ *http.Request, _ *received) { w.WriteHeader(202) }, "bad_answer", "no answer"},
		"neither":         {raw(`{"id":ID}`), "bad_answer", "neither a result nor an error"},
		"answer to other": {raw(`{"id":9999,"result":{}}`), "bad_answer", "an answer to the call 9999"},
		"id as text":      {raw(`{"id":"ID","result":{}}`), "bad_answer", "an answer to the call"},
		"two answers": {func(w http.ResponseWriter, _ *http.Request, m *received) {
			streamed(w, event(`{"id":%s,"result":{}}`, m.ID), event(`{"id":%s,"result":{}}`, m.ID))
		}, "bad_answer", "an answer to the call"},
		"stream without": {func(w http.ResponseWriter, _ *http.Request, _ *received) { streamed(w, event(`{"method":"x"}`)) }, "bad_answer", "no answer"},
		"broken stream": {func(w http.ResponseWriter, _ *http.Request, _ *received) {
			streamed(w, ":\n\n")
			panic(http.ErrAbortHandler)
		}, "transport_error", "EOF"},
		"broken": {func(http.ResponseWriter, *http.Request, *received) { panic(http.ErrAbortHandler) }, "transport_error", "EOF"},
		"too long": {func(w http.ResponseWriter, _ *http.Request, _ *received) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(make([]byte, maxAnswer+1))
		}, "bad_answer", "longer than 16 MiB"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request, _ *received) { pause(r.Context(), time.Hour) }, "timeout", "no answer within 1s"},
		"no end of stream": {func(w http.ResponseWriter, r *http.Request, m *received) {
			streamed(w, event(`{"id":%s,"result":{}}`, m.ID))
			pause(r.Context(), time.Hour)
		}, "timeout", "no answer within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{serve: func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
				if m.class() == "good" {
					good(w, m)
				} else if pause(r.Context(), time.Millisecond) {
					tt.serve(w, r, m)
				}
			}}
			// Each strange answer is followed by good ones: the connection must go on.
			p := Plan{Groups: one(Group{Mix: []Share{{call("strange"), 1}, {call("good"), 1}}}), Duration: time.Hour / 2, Timeout: hang, MaxCalls: 40, Seed: 3}
			bubble(t, s, p, func(t *testing.T, r *Report) {
				g := r.Phases[0].Groups[0]
				strange := g.Calls[0].Due
				want := map[string]uint64{}
				for _, name := range outcomeNames {
					want[name] = 0
				}
				want["ok"] = 40 - strange
				want[tt.want] += strange
				if strange == 0 || strange == 40 || !maps.Equal(g.Outcomes, want) {
					t.Errorf("outcomes %v, want %v", g.Outcomes, want)
				}
				if got := g.Texts[tt.want]; !strings.Contains(got, tt.text) || tt.text == "" && got != "" || strings.ContainsAny(got, "\n\t") {
					t.Errorf("the report says %q, want %q", got, tt.text)
				}
				if g.Latency.Count != want["ok"] || g.Calls[1].Due+strange != 40 {
					t.Errorf("latency of %d calls, %d good ones are due", g.Latency.Count, g.Calls[1].Due)
				}
			})
		})
	}
}

func TestRefusalsAreTimedAndCounted(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		if !pause(r.Context(), 2*time.Millisecond) {
			return
		}
		switch n % 10 {
		case 0:
			status(429, "Retry-After", "7")(w, r, m)
		case 1:
			status(429, "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")(w, r, m)
		case 2:
			status(429, "Retry-After", "soon")(w, r, m)
		case 3:
			status(503, "Retry-After", "1")(w, r, m)
		case 4:
			status(503)(w, r, m)
		default:
			if pause(r.Context(), 8*time.Millisecond) {
				good(w, m)
			}
		}
	}}
	bubble(t, s, Plan{Groups: one(Group{Rate: 50}), Duration: 2 * time.Second}, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		want := []Refusal{{429, 20, 10}, {503, 10, 10}}
		if !reflect.DeepEqual(g.Refusals, want) || g.Statuses[429] != 30 || g.Statuses[503] != 20 || g.Statuses[200] != 50 {
			t.Errorf("refusals %+v, statuses %v", g.Refusals, g.Statuses)
		}
		about(t, "errors", g.Errors, 0.5, 0)
		about(t, "goodput", g.Goodput, 25, 0)
		about(t, "p99 of refusals", g.RefusalLatency.P99, 2, 0)
		about(t, "p50 of good answers", g.Latency.P50, 10, 0)
		if g.RefusalLatency.Count != 50 || g.Latency.Count != 50 {
			t.Errorf("%d refusals, %d good answers were timed", g.RefusalLatency.Count, g.Latency.Count)
		}
	})
}

// A stream is read to its end, which is when the call is over.
func TestSlowStream(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
		for i := range 5 {
			if !pause(r.Context(), 100*time.Millisecond) {
				return
			}
			streamed(w, event(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, m.Params.Meta["progressToken"], i+1), ":\n\n")
		}
		streamed(w, event(`{"method":"notifications/progress","params":{"progressToken":"somebody else's","progress":1}}`), event(`{"id":%s,"result":{}}`, m.ID))
		pause(r.Context(), 300*time.Millisecond)
	}}
	for _, era := range []string{Era2025, Era2026} {
		bubble(t, s, Plan{Groups: one(Group{Connections: 2}), Era: era, Progress: true, Duration: 8 * time.Second}, func(t *testing.T, r *Report) {
			g := r.Phases[0].Groups[0]
			if g.Outcomes["ok"] != 20 || g.ProgressEvents != 100 {
				t.Errorf("%s: outcomes %v, %d progress events, want 20 calls with 5 each", era, g.Outcomes, g.ProgressEvents)
			}
			about(t, "p50", g.Latency.P50, 800, 0.01)
		})
	}
}
