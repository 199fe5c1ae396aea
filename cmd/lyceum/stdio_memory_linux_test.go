package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mostResident is what a bridge may take of a machine that has many hosts, in KiB:
// of its own at any time, and at rest with the pages of the program's file too,
// which all bridges and servers of a machine share.
const mostResident = 25 << 10

var statusLine = regexp.MustCompile(`(?m)^(VmHWM|VmRSS|RssAnon|RssFile):\s+(\d+) kB$`)

// resident reads what the kernel says of a process, in KiB.
func resident(t *testing.T, pid int) map[string]int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, m := range statusLine.FindAllStringSubmatch(string(text), -1) {
		if out[m[1]], err = strconv.Atoi(m[2]); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) != 4 {
		t.Fatalf("read %v of\n%s", out, text)
	}
	return out
}

// largeAnswers stands before a server and answers calls of "large" with 1 MiB.
func largeAnswers(t *testing.T, to string) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if id := largeCall.FindSubmatch(body); id != nil {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"text":%q}}`, id[1], strings.Repeat("x", 1<<20))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

var largeCall = regexp.MustCompile(`^\{"jsonrpc":"2.0","id":(\d+),.*"operation":"large"`)

// The bridge stays small whatever it carries: hosts start one for each server that
// they know.
func TestStdioBridgeMemory(t *testing.T) {
	p := serve(t, "--limits-per-token", "1000000", "--limits-per-address", "1000000")
	url := largeAnswers(t, p.url)
	for _, era := range []struct{ name, meta string }{
		{"2025-06-18", `"_meta":{%s}`},
		{"2026-07-28", strings.ReplaceAll(stdioMeta, "{}%s}", "{}%s}")},
	} {
		t.Run(era.name, func(t *testing.T) {
			h := startHost(t, "--url", url+"/mcp", "--token", p.token("--sub", era.name))
			id := 0
			ask := func(arguments, token string) (line, progress int) {
				t.Helper()
				id++
				meta := fmt.Sprintf(era.meta, token)
				h.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"clear_thought","arguments":%s,%s}}`, id, arguments, meta))
				for {
					m := h.next()
					if m.Method == "notifications/progress" {
						progress++
						continue
					}
					if string(m.ID) != strconv.Itoa(id) || m.Error != nil || strings.Contains(string(m.Result), `"isError":true`) {
						t.Fatalf("call %d: %.2000s", id, h.out.Text())
					}
					return len(h.out.Bytes()), progress
				}
			}
			if era.name < "2026" {
				h.send(strings.Replace(loginInit, `"id":1`, `"id":"init"`, 1))
				h.next()
				h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			}
			for range 200 {
				ask(`{"operation":"statistical_reasoning","parameters":{"mode":"summary","data":[1,2,3,4]}}`, "")
			}
			heavy := 0
			for i := range 5 {
				comma := ""
				if era.name >= "2026" {
					comma = ","
				}
				_, n := ask(`{"operation":"mcts","parameters":{"action":"run","domain":"nim","heaps":[3,4,5],"simulations":20000,"seed":1}}`, fmt.Sprintf(`%s"progressToken":"p%d"`, comma, i))
				heavy += n
			}
			large, _ := ask(`{"operation":"large"}`, "")
			busy := resident(t, h.cmd.Process.Pid)
			rests := busy
			for deadline := time.Now().Add(20 * time.Second); rests["RssFile"] >= busy["RssFile"]; rests = resident(t, h.cmd.Process.Pid) {
				if time.Now().After(deadline) {
					t.Fatalf("it does not become smaller than %v", busy)
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("after 206 calls with %d notifications of progress and an answer of %d bytes, KiB: busy %v, at rest %v", heavy, large, busy, rests)
			if large < 1<<20 || heavy == 0 {
				t.Errorf("an answer of %d bytes, %d notifications: want 1 MiB and some", large, heavy)
			}
			if busy["RssAnon"] >= mostResident || rests["VmRSS"] >= mostResident {
				t.Errorf("KiB: busy %v, at rest %v: want less than %d of its own, and in all at rest", busy, rests, mostResident)
			}
			h.end()
		})
	}
}
