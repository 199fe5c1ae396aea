package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/session"
)

// incoming is what is known of a request besides its message.
type incoming struct {
	principal *identity.Principal
	owner     session.Owner
	client    *client.Context
	headers   bool // it came over HTTP, so its headers bind

	session   session.ID // of the transport session; "" under 2026-07-28
	transport *transport
}

// ServeHTTP serves the one endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := identity.FromContext(r.Context())
	c := client.FromContext(r.Context())
	if p == nil || c == nil { // the chain in front is missing: nothing is served without it
		reply.Fail(w, r, fault.Newf(fault.Unauthenticated, "this needs a bearer token"))
		return
	}
	in := &incoming{principal: p, owner: owner(p), client: c, headers: c.Transport == client.HTTP}
	switch r.Method {
	case http.MethodPost:
		s.post(w, r, in)
	case http.MethodGet, http.MethodDelete:
		if r.Header.Get(headerVersion) == rev2026 || r.Header.Get(headerSession) == "" {
			s.wrongMethod(w)
			return
		}
		if r.Method == http.MethodDelete {
			s.delete(w, r, in)
		} else if !accepts(r) {
			s.wrongMethod(w)
		} else {
			s.get(w, r, in)
		}
	default:
		s.wrongMethod(w)
	}
}

func (s *Server) wrongMethod(w http.ResponseWriter) {
	w.Header().Set("Allow", "POST, GET, DELETE")
	writeBody(w, http.StatusMethodNotAllowed, errorBody(nil, &rpcError{
		code:    reply.Code(fault.MethodNotAllowed),
		message: "POST a message; GET and DELETE are for the sessions of revisions up to " + rev202511,
	}), s.cfg.WriteTimeout)
}

// refuse answers with a failure before anything else was written, and records it
// if it is a refusal. Calls of tools have records of their own.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, id json.RawMessage, err error) {
	s.noteRefusal(r.Context(), err)
	s.answerRefusal(w, r, id, err)
}

// answerRefusal is refuse without the record.
func (s *Server) answerRefusal(w http.ResponseWriter, r *http.Request, id json.RawMessage, err error) {
	e := fault.From(err)
	if c := client.FromContext(r.Context()); c != nil {
		c.Fail(err)
	}
	if e.Kind == fault.Forbidden {
		s.Forbid(w, err)
	}
	if after := reply.RetryAfter(e); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(after))
	}
	writeBody(w, reply.Status(e.Kind), errorBody(id, toRPC(e)), s.cfg.WriteTimeout)
}

// toRPC renders a classified failure as a JSON-RPC error.
func toRPC(e *fault.Error) *rpcError {
	data := map[string]any{"code": e.MachineCode()}
	if e.RetryAfter > 0 {
		data["retryAfterMs"] = e.RetryAfter.Milliseconds()
	}
	return &rpcError{status: reply.Status(e.Kind), code: reply.Code(e.Kind), message: e.Public, data: data}
}

func (s *Server) reject(w http.ResponseWriter, c *client.Context, id json.RawMessage, e *rpcError) {
	c.Fail(&fault.Error{Kind: fault.Invalid, Code: "rpc" + strconv.Itoa(e.code), Public: e.message})
	writeBody(w, e.status, errorBody(id, e), s.cfg.WriteTimeout)
}

// post serves one message, or a batch where the revision has them.
func (s *Server) post(w http.ResponseWriter, r *http.Request, in *incoming) {
	if ct := r.Header.Get("Content-Type"); ct != "application/json" {
		if base, _, err := mime.ParseMediaType(ct); err != nil || base != "application/json" {
			s.refuse(w, r, nil, fault.Newf(fault.UnsupportedMedia, "Content-Type must be application/json"))
			return
		}
	}
	body, err := readBody(r)
	if err != nil {
		s.refuse(w, r, nil, err)
		return
	}
	if isBatch(body) {
		s.batch(w, r, in, body)
		return
	}
	m, bad := parse(body)
	if bad != nil {
		var id json.RawMessage
		if m != nil {
			id = m.id
		}
		s.reject(w, in.client, id, bad)
		return
	}
	if m.method == "" { // an answer to a request of ours
		if modern(r.Header, m) {
			s.reject(w, in.client, nil, invalidRequest("responses are not accepted under %s", rev2026))
			return
		}
		s.takeAnswer(w, r, in, m)
		return
	}
	if modern(r.Header, m) {
		s.postModern(w, r, in, m)
		return
	}
	s.postLegacy(w, r, in, m)
}

// readBody returns the whole body. The middleware has bounded its size and its
// time.
func readBody(r *http.Request) ([]byte, error) {
	var body []byte
	var err error
	if n := r.ContentLength; n > 0 && n <= 1<<20 {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(r.Body)
	}
	_ = r.Body.Close() // ends the read deadline; the body is read
	if err == nil {
		return body, nil
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.Newf(fault.TooLarge, "the body is larger than the limit of %d bytes", big.Limit)
	}
	return nil, fault.Wrap(fault.Invalid, err, "the body could not be read")
}

// postModern serves a request of 2026-07-28. It stands alone: nothing of an
// earlier request is looked at.
func (s *Server) postModern(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	if bad := checkModern(r.Header, m, in.headers); bad != nil {
		s.reject(w, in.client, m.id, bad)
		return
	}
	in.client.Revision = rev2026
	describeClient(in.client, m.meta.clientInfo)
	if m.notification() { // closing the response cancels; there is nothing to tell us
		w.WriteHeader(http.StatusAccepted)
		return
	}
	x := s.exchange(w, r, m)
	x.ends = r.Context()
	defer x.release()
	if m.meta.logLevel != "" {
		x.logAt = severities[m.meta.logLevel]
		if x.logAt == 0 {
			s.reject(w, in.client, m.id, &rpcError{status: 200, code: codeInvalidParams, message: "logLevel is not a level"})
			return
		}
	}
	ctx, end := s.obs.start(r.Context(), in.client, m, s.target(m))
	defer end()
	switch {
	case m.method == "subscriptions/listen":
		s.listen(w, r.WithContext(ctx), in, m)
	case m.method == "tools/call":
		s.modernCall(ctx, w, r, in, m, x)
	case taskMethod(m.method):
		s.serveTask(ctx, x, in, m)
	case slices.Contains(removed, m.method):
		s.reject(w, in.client, m.id, &rpcError{status: 404, code: codeNoMethod, message: "the method " + m.method + " does not exist in " + rev2026})
	default:
		s.dispatch(ctx, x, in, m, true)
	}
}

// postLegacy serves a message of the initialize era.
func (s *Server) postLegacy(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	if m.method == "initialize" && !m.notification() {
		s.initialize(w, r, in, m)
		return
	}
	h, tr, ok := s.negotiated(w, r, in, m.id)
	if !ok {
		return
	}
	defer h.Release()
	in.client.Revision, in.client.Name, in.client.Version = tr.client.Revision, tr.client.Name, tr.client.Version
	if m.notification() {
		s.notice(r.Context(), h.ID(), m)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	x := s.exchange(w, r, m)
	x.logAt = tr.level()
	s.feedsOf(x, r, tr)
	defer x.release()
	s.serveLegacy(w, r, in, m, x, h, tr)
}

func (s *Server) serveLegacy(w http.ResponseWriter, r *http.Request, in *incoming, m *message, x *exchange, h *session.Handle, tr *transport) {
	in.session, in.transport = h.ID(), tr
	ctx, end := s.obs.start(r.Context(), in.client, m, s.target(m))
	defer end()
	switch m.method {
	case "tools/call":
		s.toolsCall(ctx, w, r, in, m, x, h, tr)
	case "ping":
		x.answer([]byte("{}"))
	case "logging/setLevel":
		n := severities[m.level]
		if n == 0 {
			x.fail(http.StatusOK, &rpcError{code: codeInvalidParams, message: "level must be one of debug, info, notice, warning, error, critical, alert, emergency"})
			return
		}
		tr.setLevel(n)
		x.answer([]byte("{}"))
	case "resources/subscribe", "resources/unsubscribe":
		s.subscribe(ctx, x, in, m, h)
	default:
		s.dispatch(ctx, x, in, m, false)
	}
}

// notice takes a notification of a transport session.
func (s *Server) notice(ctx context.Context, id session.ID, m *message) {
	if m.method == "notifications/cancelled" && validID(m.requestID) {
		// A cancel that comes too late, or for nothing, is silent by definition.
		found := s.calls.cancel(callKey{id, string(m.requestID)})
		s.Log.DebugContext(ctx, "cancel", "found", found, "reason", printable(m.reason))
	}
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request, m *message) *exchange {
	return &exchange{
		w: w, id: m.id, token: m.meta.progressToken, streaming: accepts(r),
		keepAlive: s.cfg.KeepAlive, timeout: s.cfg.WriteTimeout, last: -1,
	}
}

// needTransport returns the transport session that the request names, or
// answers: 400 when it names none, one and the same 404 for every other miss.
func (s *Server) needTransport(w http.ResponseWriter, r *http.Request, in *incoming) (*session.Handle, *transport, bool) {
	id, bad := single(r.Header, headerSession)
	if bad != nil || id == "" {
		s.reject(w, in.client, nil, invalidRequest("this request needs one Mcp-Session-Id, which initialize returns"))
		return nil, nil, false
	}
	h, tr, err := s.transports.acquire(r.Context(), in.owner, id)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = errNoTransport
		}
		s.refuse(w, r, nil, err)
		return nil, nil, false
	}
	return h, tr, true
}

// negotiated is needTransport for a request that, if it names a revision, must name
// that of its session. It answers to id otherwise.
func (s *Server) negotiated(w http.ResponseWriter, r *http.Request, in *incoming, id json.RawMessage) (*session.Handle, *transport, bool) {
	h, tr, ok := s.needTransport(w, r, in)
	if !ok {
		return nil, nil, false
	}
	if v := r.Header.Get(headerVersion); v != "" && v != tr.client.Revision {
		h.Release()
		s.reject(w, in.client, id, invalidRequest("MCP-Protocol-Version must be %s, which this session negotiated", tr.client.Revision))
		return nil, nil, false
	}
	return h, tr, true
}

// delete ends a transport session. The reasoning sessions it used live on.
func (s *Server) delete(w http.ResponseWriter, r *http.Request, in *incoming) {
	h, _, ok := s.negotiated(w, r, in, nil)
	if !ok {
		return
	}
	id := h.ID()
	h.Release()
	if err := s.Transports.Delete(r.Context(), in.owner, id); err != nil {
		s.refuse(w, r, nil, errNoTransport)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// initialize opens a transport session. mcp-go negotiates the revision.
func (s *Server) initialize(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	if s.draining.Load() {
		s.refuse(w, r, m.id, errDraining)
		return
	}
	ctx, end := s.obs.start(r.Context(), in.client, m, "")
	defer end()
	resp := s.mcp.HandleMessage(ctx, m.raw)
	ok, isResult := resp.(mcp.JSONRPCResponse)
	if !isResult {
		s.exchange(w, r, m).relay(resp, http.StatusOK)
		return
	}
	result, isInit := ok.Result.(mcp.InitializeResult)
	if !isInit {
		s.refuse(w, r, m.id, errors.New("initialize gave something else than its result"))
		return
	}
	var params struct {
		ClientInfo   json.RawMessage `json:"clientInfo"`
		Capabilities json.RawMessage `json:"capabilities"`
	}
	_ = json.Unmarshal(m.params, &params) // mcp-go has decoded it already
	describeClient(in.client, params.ClientInfo)
	in.client.Revision = result.ProtocolVersion
	err := s.auditReady()
	if err == nil {
		err = s.mayOpen(ctx, in.principal)
	}
	if err != nil {
		s.refuse(w, r, m.id, err)
		return
	}
	h, err := s.transports.open(r.Context(), in.owner, &transport{client: sessionClient(in.client), capabilities: declared(params.Capabilities)})
	if err != nil {
		s.refuse(w, r, m.id, err)
		return
	}
	defer h.Release()
	w.Header()[headerSession] = []string{string(h.ID())}
	ok.Result = asOf(result)
	s.exchange(w, r, m).relay(ok, http.StatusOK)
}

// asOf leaves out of an answer to initialize what its revision does not know.
func asOf(result mcp.InitializeResult) mcp.InitializeResult {
	result.Capabilities.Extensions = nil
	if v := result.ProtocolVersion; v == rev2024 || v == rev202503 {
		result.ServerInfo.Title = ""
	}
	return result
}

// describeClient takes what the client calls itself, for people to read.
func describeClient(c *client.Context, info json.RawMessage) {
	if len(info) == 0 {
		return
	}
	for key, value := range jsonscan.Members(info) {
		switch string(key) {
		case "name":
			c.Name = printable(jsonscan.String(value))
		case "version":
			c.Version = printable(jsonscan.String(value))
		}
	}
}

// printable cuts a client's word about itself to what a table can show.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}

func sessionClient(c *client.Context) session.Client {
	return session.Client{Name: c.Name, Version: c.Version, Revision: c.Revision, Transport: string(c.Transport)}
}

// dispatch lets mcp-go answer a method that needs nothing of ours.
func (s *Server) dispatch(ctx context.Context, x *exchange, in *incoming, m *message, modernEra bool) {
	if s.answered(ctx, x, in, m, modernEra) {
		return
	}
	resp := s.mcp.HandleMessage(ctx, m.raw)
	status := http.StatusOK
	if e, isError := resp.(mcp.JSONRPCError); isError {
		s.obs.failed(ctx, e.Error.Code)
		in.client.Fail(&fault.Error{Kind: fault.Invalid, Code: "rpc" + strconv.Itoa(e.Error.Code), Public: e.Error.Message})
		if modernEra && e.Error.Code == codeNoMethod {
			status = http.StatusNotFound
		}
		if e.Error.Code == codeNoMethod {
			x.fail(status, &rpcError{code: codeNoMethod, message: "unknown method"})
			return
		}
	}
	x.relay(resp, status)
}

// relay sends what mcp-go answered, under the id as the client wrote it.
func (x *exchange) relay(resp mcp.JSONRPCMessage, status int) {
	switch v := resp.(type) {
	case mcp.JSONRPCResponse:
		result, err := json.Marshal(v.Result)
		if err != nil {
			x.fail(http.StatusInternalServerError, &rpcError{code: codeInternal, message: "internal error"})
			return
		}
		x.answer(result)
	case mcp.JSONRPCError:
		x.fail(status, &rpcError{code: v.Error.Code, message: v.Error.Message, data: v.Error.Data})
	default:
		x.fail(http.StatusInternalServerError, &rpcError{code: codeInternal, message: "internal error"})
	}
}
