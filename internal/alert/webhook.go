package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxAnswer is how much of an answer is read, so that its connection can be used
// again.
const maxAnswer = 4 << 10

// Webhook is where notifications go.
type Webhook struct {
	URL     string
	Secrets []Secret     // each signs every request; at least one
	Client  *http.Client // bounds the time of a request
	Agent   string       // User-Agent
}

// outcome is how an attempt ended.
type outcome struct {
	id    string
	err   error // nil: the receiver has it
	final bool  // another attempt would end no better
	asked time.Duration
}

// post makes one attempt. The receiver has the notification when it answers with
// any 2xx.
func (w *Webhook) post(ctx context.Context, n Notification) outcome {
	out := outcome{id: n.ID}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(n.Body))
	if err != nil {
		out.err, out.final = err, true
		return out
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", w.Agent)
	sign(req.Header, w.Secrets, n.ID, time.Now(), n.Body)
	resp, err := w.Client.Do(req)
	if err != nil {
		// Without the URL, whose path may be a secret of the receiver's.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		out.err = err
		return out
	}
	_, err = io.CopyN(io.Discard, resp.Body, maxAnswer)
	_ = resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return out // whatever became of the rest of the answer
	}
	out.err = fmt.Errorf("the receiver answered %d", resp.StatusCode)
	if err != nil && !errors.Is(err, io.EOF) {
		out.err = fmt.Errorf("%w, and broke off: %w", out.err, err)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		out.final = true // it read the body and does not want it
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		out.asked = time.Duration(min(seconds, int(maxDelay/time.Second))) * time.Second
	}
	return out
}
