package app

import (
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// local is an http.RoundTripper that serves requests in this process, as the
// given principal. The identity goes into the request's context, where only
// code of this process can put it.
type local struct {
	handler   http.Handler
	principal *identity.Principal
	wg        sync.WaitGroup // the handlers that run
}

// RoundTrip starts the handler and returns when it has written its header. The
// body is what the handler goes on to write.
func (l *local) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(identity.NewContext(ctx, l.principal))
	in.RemoteAddr = middleware.StdioAddr
	in.RequestURI = in.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: pw, ready: make(chan struct{})}
	l.wg.Go(func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // the chain has logged it and cuts the answer
				w.once.Do(func() { w.status = http.StatusInternalServerError; close(w.ready) })
				_ = pw.CloseWithError(io.ErrUnexpectedEOF)
			}
		}()
		l.handler.ServeHTTP(w, in)
		w.WriteHeader(http.StatusOK)
		_ = pw.Close()
	})
	select {
	case <-w.ready:
	case <-req.Context().Done():
		cancel()
		_ = pr.CloseWithError(context.Cause(req.Context()))
		return nil, context.Cause(req.Context())
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &pipeBody{PipeReader: pr, cancel: cancel}, ContentLength: -1, Request: req,
	}, nil
}

// wait returns when every handler that was started has returned.
func (l *local) wait() { l.wg.Wait() }

// pipeWriter is the response of a request in this process.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter

	once   sync.Once
	ready  chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush does nothing: a pipe holds nothing back. It is there because streams
// look for it.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// pipeBody ends the request when its reader is done with it, as closing a
// connection would.
type pipeBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *pipeBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
