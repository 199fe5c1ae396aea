package mcpserve

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/session"
)

// batch serves an array of messages. Only 2025-03-26 has batches; it is also
// what a client speaks that names no revision. The messages run one after the
// other, and their answers come back in one array.
func (s *Server) batch(w http.ResponseWriter, r *http.Request, in *incoming, body []byte) {
	if v := r.Header.Get(headerVersion); v != "" && v != rev202503 {
		s.reject(w, in.client, nil, invalidRequest("revision %s has no batches: send one message per request", printable(v)))
		return
	}
	if err := jsonscan.Check(body); err != nil {
		s.reject(w, in.client, nil, &rpcError{status: 400, code: codeParse, message: "the body is not valid JSON: " + err.Error()})
		return
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil || len(items) == 0 {
		s.reject(w, in.client, nil, invalidRequest("a batch must hold at least one message"))
		return
	}
	if len(items) > s.cfg.MaxBatch {
		s.reject(w, in.client, nil, invalidRequest("a batch may hold at most %d messages", s.cfg.MaxBatch))
		return
	}
	h, tr, ok := s.needTransport(w, r, in)
	if !ok {
		return
	}
	defer h.Release()
	if tr.client.Revision != rev202503 {
		s.reject(w, in.client, nil, invalidRequest("revision %s has no batches: send one message per request", tr.client.Revision))
		return
	}
	in.client.Revision, in.client.Name, in.client.Version = tr.client.Revision, tr.client.Name, tr.client.Version

	out := []byte{'['}
	for _, item := range items {
		answer := &buffered{header: http.Header{}}
		s.one(answer, r, in, item, h.ID(), func(m *message, x *exchange) { s.serveLegacy(answer, r, in, m, x, h, tr) })
		if part := bytes.TrimSpace(answer.body.Bytes()); len(part) > 0 {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, part...)
		}
	}
	if len(out) == 1 { // nothing but notifications
		w.WriteHeader(http.StatusAccepted)
		return
	}
	writeBody(w, http.StatusOK, append(out, ']'), s.cfg.WriteTimeout)
}

// one serves a message of a batch.
func (s *Server) one(w *buffered, r *http.Request, in *incoming, item json.RawMessage, id session.ID, serve func(*message, *exchange)) {
	m, bad := decode(item)
	switch {
	case bad != nil:
		var id json.RawMessage
		if m != nil {
			id = m.id
		}
		s.reject(w, in.client, id, bad)
	case m.method == "initialize":
		s.reject(w, in.client, m.id, invalidRequest("initialize cannot be part of a batch"))
	case m.meta.hasVersion:
		s.reject(w, in.client, m.id, invalidRequest("a request of %s cannot be part of a batch", rev2026))
	case m.method == "": // an answer to a request of ours
		s.heard(r.Context(), id, m)
	case m.notification():
		s.notice(r.Context(), id, m)
	default:
		x := s.exchange(w, r, m)
		x.streaming = false
		serve(m, x)
	}
}

// buffered is a response that stays in memory, one message of a batch.
type buffered struct {
	header http.Header
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(int)             {}
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
