package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// play does everything once, from the handshake to the end of the session.
func (u *user) play(ctx context.Context) error {
	var err error
	if u.report.Negotiated, u.report.Server, err = u.sdk.open(ctx); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	u.report.Session = u.session() != ""
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"tools", u.seeTools},
		{"progress", u.seeProgress},
		{"cancel", u.cancelCall},
		{"resources", u.seeResources},
		{"update", u.seeUpdate},
		{"prompts", u.seePrompts},
		{"completion", u.seeCompletion},
		{"log", u.seeLog},
		{"refresh", u.refresh},
		{"parallel", u.parallel},
		{"close", u.leave},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	u.seeOAuth()
	return nil
}

// session is the transport session that the server gave.
func (u *user) session() string {
	for _, x := range u.tap.find(func(x *exchange) bool { return x.rpc == "initialize" && x.status == http.StatusOK }) {
		return x.session
	}
	return ""
}

func (u *user) seeTools(ctx context.Context) error {
	var err error
	u.report.Tools, err = u.sdk.tools(ctx)
	return err
}

func (u *user) seeProgress(ctx context.Context) error {
	const token = "progress"
	e, err := u.think(ctx, "mcts", "", token, map[string]any{"action": "run", "domain": "connect-four", "simulations": 100_000, "seed": 1})
	if err != nil {
		return err
	}
	p := &u.report.Progress
	p.Best = e.Result.BestAction
	x, err := u.tap.called(token)
	if err != nil {
		return err
	}
	for _, e := range x.events {
		kind := e.Method
		if kind == "" {
			kind = "answer"
		}
		p.Wire = append(p.Wire, kind)
	}
	// A library may hand notifications on after the answer.
	err = until(ctx, "the progress that came over the wire", func() bool {
		return u.inbox.see(func(b *inbox) bool { return len(b.progress[token]) >= len(p.Wire)-1 })
	})
	u.inbox.see(func(b *inbox) bool { p.Client = slices.Clone(b.progress[token]); return true })
	return err
}

// cancelCall gives up a call that would take much longer than all of this, once it
// computes.
func (u *user) cancelCall(ctx context.Context) error {
	const token = "cancel"
	c := &u.report.Cancel
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := u.think(calling, "mcts", "", token, map[string]any{"action": "run", "domain": "connect-four", "simulations": 100_000_000, "seed": 1})
		done <- err
	}()
	if err := until(ctx, "progress of the call", func() bool {
		return u.inbox.see(func(b *inbox) bool { return len(b.progress[token]) > 0 })
	}); err != nil {
		return err
	}
	began := time.Now()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the call ended with %w", err)
		}
		c.Error = context.Canceled.Error()
	case <-time.After(patience):
		return errors.New("the library did not give up the call")
	}
	c.By = "context"
	if !u.sdk.cancels() {
		c.By = "job_cancel"
		if err := u.stopJob(ctx); err != nil {
			return err
		}
	}
	if err := u.untilIdle(ctx); err != nil {
		return err
	}
	c.FreedMillis = time.Since(began).Milliseconds()
	began = time.Now()
	if err := u.count(ctx, 7, ""); err != nil {
		return err
	}
	c.NextMillis = time.Since(began).Milliseconds()
	return nil
}

// stopJob stops the one call that goes on although its connection is lost.
func (u *user) stopJob(ctx context.Context) error {
	id := ""
	var problem error
	err := until(ctx, "the abandoned call among the jobs", func() bool {
		e, err := u.tool(ctx, "job_list", map[string]any{}, "")
		if err != nil {
			problem = err
			return true
		}
		for _, j := range e.Result.Jobs {
			if j.Operation == "mcts" && j.State == "running" {
				id = j.JobID
			}
		}
		return id != ""
	})
	if err = errors.Join(err, problem); err != nil {
		return err
	}
	_, err = u.tool(ctx, "job_cancel", map[string]any{"jobId": id}, "")
	return err
}

// untilIdle waits until the server runs nothing: this must be its one client.
func (u *user) untilIdle(ctx context.Context) error {
	at, err := url.Parse(u.url)
	if err != nil {
		return err
	}
	at.Path = "/metrics"
	var problem error
	err = until(ctx, "an idle server", func() bool {
		var text string
		if text, problem = get(ctx, at.String()); problem != nil {
			return true
		}
		return strings.Contains(text, "\nlyceum_jobs{state=\"running\"} 0\n") && strings.Contains(text, "\nlyceum_work_running{lane=\"interactive\"} 0\n")
	})
	return errors.Join(err, problem)
}

func get(ctx context.Context, from string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", from, resp.Status)
	}
	return string(body), err
}

// count asks for the mean of one number, which must be that number.
func (u *user) count(ctx context.Context, n int, token string) error {
	e, err := u.think(ctx, "statistical_reasoning", "", token, map[string]any{"mode": "summary", "data": []int{n, n}})
	if err == nil && e.Result.Stats.Mean != float64(n) {
		err = fmt.Errorf("the mean of %d is %v", n, e.Result.Stats.Mean)
	}
	return err
}

func (u *user) seeResources(ctx context.Context) error {
	r := &u.report.Resources
	var err error
	if r.Listed, err = u.sdk.resources(ctx); err != nil {
		return err
	}
	if r.Templates, err = u.sdk.templates(ctx); err != nil {
		return err
	}
	var text string
	r.Type, text, err = u.sdk.read(ctx, "lyceum://guide")
	r.Length = len(text)
	return err
}

// seeUpdate subscribes to a chain of thoughts and adds one.
func (u *user) seeUpdate(ctx context.Context) error {
	thought := func(session, text string, number int) (envelope, error) {
		return u.think(ctx, "sequential_thinking", session, "", map[string]any{
			"action": "add", "thought": text, "thoughtNumber": number, "totalThoughts": 2, "nextThoughtNeeded": number < 2,
		})
	}
	e, err := thought("", "Two and two are four.", 1)
	if err != nil {
		return err
	}
	up := &u.report.Update
	up.Subscribed = e.Resource
	if err := u.sdk.subscribe(ctx, e.Resource); err != nil {
		return err
	}
	const second = "Four and four are eight."
	if _, err := thought(e.SessionID, second, 2); err != nil {
		return err
	}
	if err := until(ctx, "the update", func() bool {
		return u.inbox.see(func(b *inbox) bool {
			if len(b.updates) > 0 {
				up.Told = b.updates[0]
			}
			return up.Told != ""
		})
	}); err != nil {
		return err
	}
	_, text, err := u.sdk.read(ctx, e.Resource)
	up.Read = strings.Contains(text, second)
	return err
}

// listening waits until the server has taken a stream for updates: the ones that
// come before are nobody's.
func (u *user) listening(ctx context.Context) error {
	return until(ctx, "a stream for updates", func() bool {
		return len(u.tap.find(func(x *exchange) bool {
			return x.http == http.MethodGet && x.session != "" && x.status == http.StatusOK ||
				x.rpc == "subscriptions/listen" && len(x.events) > 0 && x.events[0].Method == "notifications/subscriptions/acknowledged"
		})) > 0
	})
}

func (u *user) seePrompts(ctx context.Context) error {
	var err error
	if u.report.Prompts.Names, err = u.sdk.prompts(ctx); err != nil {
		return err
	}
	const task = "Which heap to take from?"
	text, err := u.sdk.prompt(ctx, "search", map[string]string{"task": task})
	u.report.Prompts.Text = strings.Contains(text, task)
	return err
}

func (u *user) seeCompletion(ctx context.Context) error {
	c := &u.report.Completion
	var err error
	if c.Prompt, err = u.sdk.complete(ctx, "search", "", "operation", "m"); err != nil {
		return err
	}
	c.Resource, err = u.sdk.complete(ctx, "", "lyceum://operations/{name}", "name", "be")
	return err
}

// seeLog asks for log messages and gives an operation a parameter it does not know.
func (u *user) seeLog(ctx context.Context) error {
	text := func(err error) string {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	u.report.Ping = text(u.sdk.ping(ctx))
	u.report.Level = text(u.sdk.level(ctx, "info"))
	if _, err := u.think(ctx, "statistical_reasoning", "", "", map[string]any{"mode": "summary", "data": []int{1, 2}, "colour": "red"}); err != nil {
		return err
	}
	return until(ctx, "the log message", func() bool {
		return u.inbox.see(func(b *inbox) bool {
			if len(b.logs) > 0 {
				u.report.Log = b.logs[0]
			}
			return u.report.Log != ""
		})
	})
}

// refresh lets the access token expire, as the library sees it, and goes on.
func (u *user) refresh(ctx context.Context) error {
	if u.desk == nil {
		return nil
	}
	before := u.tap.lastAuth()
	u.sdk.expire()
	if err := u.count(ctx, 3, ""); err != nil {
		return err
	}
	u.report.OAuth.NewToken = u.tap.lastAuth() != before
	return nil
}

// parallel makes 32 calls at once in the one session; every second one asks for
// progress.
func (u *user) parallel(ctx context.Context) error {
	const calls = 32
	p := &u.report.Parallel
	var mu sync.Mutex
	var wg sync.WaitGroup
	token := func(n int) string { return fmt.Sprintf("parallel-%d", n) }
	for n := range calls {
		wg.Go(func() {
			var err error
			if n%2 == 0 {
				err = u.count(ctx, n, "")
			} else {
				// One heap of n: whoever takes all of it wins.
				var e envelope
				e, err = u.think(ctx, "mcts", "", token(n), map[string]any{"action": "run", "domain": "nim", "heaps": []int{n}, "simulations": 20000, "seed": n})
				if want := fmt.Sprintf("take %d from heap 1", n); err == nil && e.Result.BestAction != want {
					err = fmt.Errorf("%q, want %q", e.Result.BestAction, want)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.Wrong = append(p.Wrong, fmt.Sprintf("call %d: %v", n, err))
				return
			}
			p.Right++
		})
	}
	wg.Wait()
	for n := 1; n < calls; n += 2 {
		x, err := u.tap.called(token(n))
		if err != nil {
			return err
		}
		own := 0
		for _, e := range x.events {
			switch {
			case e.Method == "notifications/progress" && string(e.Params.Token) == string(x.token):
				own++
			case e.Method == "notifications/progress":
				p.Foreign++
			}
		}
		if own == 0 {
			p.Missing++
		}
	}
	return nil
}

// leave closes the client and looks whether the server has forgotten the session.
func (u *user) leave(ctx context.Context) error {
	c := &u.report.Close
	id, auth := u.session(), u.tap.lastAuth()
	if err := u.sdk.close(); err != nil {
		c.Error = err.Error()
	}
	for _, x := range u.tap.find(func(x *exchange) bool { return x.http == http.MethodDelete }) {
		c.Delete = x.status
	}
	if id == "" {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, strings.NewReader(`{"jsonrpc":"2.0","id":"after","method":"ping"}`))
	if err != nil {
		return err
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {auth}, "Mcp-Session-Id": {id},
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	c.After = resp.StatusCode
	return resp.Body.Close()
}

func (u *user) seeOAuth() {
	if u.desk == nil {
		return
	}
	o := &u.report.OAuth
	o.Logins = len(u.desk.pages)
	for _, q := range u.desk.pages {
		o.Challenge, o.Scope, o.Resource = q.Get("code_challenge_method"), q.Get("scope"), q.Get("resource")
	}
	for _, x := range u.tap.find(func(x *exchange) bool { return strings.HasSuffix(x.path, "/register") }) {
		o.Registered = x.status
	}
	for _, x := range u.tap.find(func(x *exchange) bool { return x.form != nil && x.status == http.StatusOK }) {
		switch x.form.Get("grant_type") {
		case "authorization_code":
			o.Verifier = x.form.Get("code_verifier") != ""
		case "refresh_token":
			o.Refreshes++
		}
	}
}
