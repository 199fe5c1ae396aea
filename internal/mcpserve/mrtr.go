package mcpserve

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Bounds of a request that is made again with answers.
const (
	stateLife  = 10 * time.Minute
	maxState   = 256 << 10 // characters
	maxAnswers = 64
)

// round is what a request of 2026-07-28 brings from the attempts before it: the
// answers it was sent for, and what we had it keep. The state comes back from a
// client, so it is only what we have sealed for the same owner, method, target and
// arguments, not long ago. It is not single use: to send it twice is to make the
// same call twice.
type round struct {
	answers map[string]json.RawMessage // of this attempt, not checked yet
	kept    roundState
}

// roundState is what a requestState holds.
type roundState struct {
	Session session.ID                 `json:"session,omitempty"`
	Seed    *uint64                    `json:"seed,omitempty"`
	Answers map[string]json.RawMessage `json:"answers,omitempty"` // that have been checked
}

var (
	errBadState   = badParams("requestState is not one of this request, or too old: begin again without it")
	errBadAnswers = badParams("params.inputResponses must be an object with at most " + strconv.Itoa(maxAnswers) + " members")
)

// bindState is what a state is good for.
func bindState(m *message) string {
	sum := sha256.Sum256(m.arguments)
	return m.method + "\x00" + m.name + m.uri + "\x00" + string(sum[:])
}

// roundOf reads what a request brings, or says what is wrong with it.
func (s *Server) roundOf(o session.Owner, m *message) (*round, *rpcError) {
	r := &round{answers: map[string]json.RawMessage{}}
	if m.inputResponses != nil {
		if !jsonscan.IsObject(m.inputResponses) {
			return nil, errBadAnswers
		}
		for key, value := range jsonscan.Members(m.inputResponses) {
			if len(r.answers) == maxAnswers {
				return nil, errBadAnswers
			}
			r.answers[string(key)] = value
		}
	}
	if m.requestState == nil {
		return r, nil
	}
	if !isString(m.requestState) {
		return nil, errBadState
	}
	plain, ok := s.cursors.openWithin(o, bindState(m), jsonscan.String(m.requestState), maxState)
	if !ok || json.Unmarshal(plain, &r.kept) != nil {
		return nil, errBadState
	}
	return r, nil
}

// stateOf seals what the next attempt of a request is to bring.
func (s *Server) stateOf(o session.Owner, m *message, keep roundState) (string, error) {
	plain, err := json.Marshal(keep)
	if err != nil {
		return "", err
	}
	text := s.cursors.sealUntil(o, bindState(m), plain, time.Now().Add(stateLife))
	if len(text) > maxState {
		return "", fault.Newf(fault.TooLarge, "the answers are too long to be kept for the next round: answer in fewer words")
	}
	return text, nil
}

// appendQuestions appends inputRequests, an object.
func appendQuestions(b []byte, questions []tools.Question) []byte {
	b = append(b, '{')
	for i, q := range questions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, q.Key)
		b = append(b, `:{"method":"`+q.Method+`","params":`...)
		b = append(append(b, q.Params...), '}')
	}
	return append(b, '}')
}

// inputRequired is the result that asks for another attempt.
func (s *Server) inputRequired(in *incoming, m *message, l *callLine, ask *tools.InputRequired, id session.ID, seed *uint64) ([]byte, error) {
	state, err := s.stateOf(in.owner, m, roundState{Session: id, Seed: seed, Answers: l.taken})
	if err != nil {
		return nil, err
	}
	b := appendQuestions([]byte(`{"inputRequests":`), ask.Questions)
	b = appendJSON(append(b, `,"requestState":`...), state)
	return append(b, s.ending("input_required")...), nil
}

// ending closes the result of a modern request, which is of the given type.
func (s *Server) ending(resultType string) []byte {
	b := append([]byte(`,"resultType":"`+resultType+`","_meta":{"`+metaServerInfo+`":`), s.info...)
	return append(b, "}}"...)
}

// modernCall serves a tools/call of 2026-07-28.
func (s *Server) modernCall(ctx context.Context, w http.ResponseWriter, r *http.Request, in *incoming, m *message, x *exchange) {
	if in.headers {
		if bad := s.checkParams(r.Header, m); bad != nil {
			s.reject(w, in.client, m.id, bad)
			return
		}
	}
	rd, bad := s.roundOf(in.owner, m)
	if bad != nil {
		s.reject(w, in.client, m.id, bad)
		return
	}
	m.round = rd
	s.toolsCall(ctx, w, r, in, m, x, nil, nil)
}

// asks replaces the outcome of an attempt that ended with questions by them.
func (c *toolCall) asks() {
	ask, ok := errors.AsType[*tools.InputRequired](c.err)
	if !ok || c.task.line == nil {
		return
	}
	result, err := c.s.inputRequired(c.in, c.m, c.task.line, ask, c.session, c.task.call.SeedHint)
	if err != nil {
		c.fail(err)
		return
	}
	c.err, c.isError, c.envelope = nil, false, nil // nothing is kept under an idempotency key
	c.body = append(append(c.x.appendHead(nil), result...), '}')
}

// protocolFailure returns the outcome of a call as an error of the protocol, nil
// where it is a result of the tool.
func (c *toolCall) protocolFailure() *rpcError {
	if bad, ok := errors.AsType[*rpcError](c.err); ok {
		return bad
	}
	if need, ok := errors.AsType[*tools.Undeclared](c.err); ok && c.in.client.Revision == rev2026 {
		return undeclared(need)
	}
	if c.err != nil && c.task != nil && native(c.task.tool) && fault.KindOf(c.err) == fault.Internal {
		return &rpcError{status: http.StatusOK, code: codeInternal, message: fault.From(c.err).Public}
	}
	return nil
}

func undeclared(need *tools.Undeclared) *rpcError {
	return &rpcError{
		status: http.StatusBadRequest, code: codeCapability, message: need.Error(),
		data: map[string]any{"requiredCapabilities": need.Needs},
	}
}
