package mcpserve

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/tools"
)

// A task of the extension io.modelcontextprotocol/tasks is a job that its owner
// knows, under the same id: what job_result says of one, tasks/get says too. The
// extension belongs to 2026-07-28, and each request declares it anew.

// declaresTasks reports whether client capabilities name the extension.
func declaresTasks(capabilities json.RawMessage) bool {
	return memberOf(memberOf(capabilities, "extensions"), tools.TasksExtension) != nil
}

func taskMethod(method string) bool {
	return method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel"
}

var (
	errNoTask    = badParams("Task not found or expired")
	errNeedTasks = tools.NeedsTasks()
)

// taskView is a task as the extension shows it.
type taskView struct {
	TaskID        job.ID          `json:"taskId"`
	Status        string          `json:"status"`
	StatusMessage string          `json:"statusMessage,omitempty"`
	CreatedAt     time.Time       `json:"createdAt"`
	LastUpdatedAt time.Time       `json:"lastUpdatedAt"`
	TTLMillis     int64           `json:"ttlMs"`
	PollMillis    int64           `json:"pollIntervalMs,omitempty"`
	InputRequests json.RawMessage `json:"inputRequests,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"`
	Error         *taskError      `json:"error,omitempty"`
}

type taskError struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Data    map[string]string `json:"data,omitempty"`
}

// Statuses of a task.
const (
	taskWorking   = "working"
	taskInput     = "input_required"
	taskCompleted = "completed"
	taskFailed    = "failed"
	taskCancelled = "cancelled"
)

// viewTask shows a job as a task, with what it has come to.
func (s *Server) viewTask(j job.Job) *taskView {
	v := &taskView{
		TaskID: j.ID, Status: taskWorking, StatusMessage: j.StatusMessage, CreatedAt: j.Created, LastUpdatedAt: j.Updated,
		TTLMillis: j.TTL.Milliseconds(), PollMillis: pollAfter(j).Milliseconds(),
	}
	if v.StatusMessage == "" {
		v.StatusMessage = j.Progress.Message
	}
	switch j.State {
	case job.Completed:
		v.Status, v.Result = taskCompleted, s.taskResult(j.Operation, j.Result, false)
	case job.Failed:
		s.viewFailure(v, j)
	case job.Canceled:
		v.Status = taskCancelled
	default:
		if open := s.parked.pending(j.ID); len(open) > 0 {
			v.Status, v.InputRequests = taskInput, appendQuestions(nil, open)
		}
	}
	return v
}

// viewFailure tells a failure of the tool, which is a result, from one of the
// server, which is an error of the protocol.
func (s *Server) viewFailure(v *taskView, j job.Job) {
	switch j.Error.Code {
	case "internal", "interrupted", "job_expired", "job_abandoned":
		v.Status = taskFailed
		v.Error = &taskError{codeInternal, j.Error.Message, map[string]string{"code": j.Error.Code}}
		if v.StatusMessage == "" {
			v.StatusMessage = j.Error.Message
		}
		return
	}
	e := tools.Envelope{
		Operation: j.Operation, ToolOperation: j.Operation, SessionID: string(j.SessionID),
		Error: &tools.Failure{Code: j.Error.Code, Message: j.Error.Message},
	}
	body, _ := e.Encode() // plain fields always encode
	if d := s.direct[j.Operation]; d != nil && native(d.tool) {
		body = nativeFailure(j.Error.Message)
	}
	v.Status, v.Result = taskCompleted, s.taskResult(j.Operation, body, true)
}

// taskResult is what the call would have been answered with.
func (s *Server) taskResult(operation string, stored json.RawMessage, isError bool) json.RawMessage {
	if d := s.direct[operation]; d != nil && native(d.tool) {
		return append(slices.Clone(stored[:len(stored)-1]), s.meta...)
	}
	b := append([]byte(`{"content":[{"type":"text","text":`), appendString(nil, stored)...)
	b = append(append(b, `}],"structuredContent":`...), stored...)
	if isError {
		b = append(b, `,"isError":true`...)
	}
	return append(b, s.meta...)
}

// created is the response to a call that has become a task. The job has been
// stored, so tasks/get finds it.
func (c *toolCall) created(j job.Job) []byte {
	v := c.s.viewTask(j)
	v.InputRequests, v.Result, v.Error = nil, nil, nil // those tasks/get tells
	if v.Status != taskCancelled {
		v.Status = taskWorking
		v.PollMillis = max(v.PollMillis, minPoll.Milliseconds()) // it may have ended meanwhile
	}
	body, _ := encodeJSON(v) // plain fields always encode
	b := append(c.x.appendHead(nil), body[:len(body)-1]...)
	return append(append(b, c.s.ending("task")...), '}')
}

// serveTask serves the three methods of the extension. Whose a task is, the look-up
// decides: one that is unknown, expired or somebody else's is the same.
func (s *Server) serveTask(ctx context.Context, x *exchange, in *incoming, m *message) {
	q := &query{in: in, m: m, modern: true}
	if !declaresTasks(m.meta.capabilities) {
		s.failQuery(ctx, x, q, undeclared(errNeedTasks))
		return
	}
	if err := policy.Require(in.principal, policy.Reason); err != nil {
		s.failQuery(ctx, x, q, err)
		return
	}
	body, err := s.taskQuery(ctx, q)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = errNoTask
		}
		s.failQuery(ctx, x, q, err)
		return
	}
	x.answer(body)
}

func (s *Server) taskQuery(ctx context.Context, q *query) ([]byte, error) {
	id := job.ID(q.m.taskID)
	j, err := s.Jobs.Wait(ctx, q.in.owner, id, 0)
	if err != nil {
		return nil, err
	}
	q.in.client.Target = j.Operation
	switch q.m.method {
	case "tasks/get":
		body, err := encodeJSON(s.viewTask(j))
		if err != nil {
			return nil, err
		}
		return append(body[:len(body)-1], s.meta...), nil
	case "tasks/update":
		err = s.updateTask(j, q.m)
	case "tasks/cancel":
		_, _, err = s.Jobs.Cancel(ctx, q.in.owner, id)
	}
	if err != nil {
		return nil, err
	}
	return append([]byte("{"), s.meta[1:]...), nil // without the comma
}

// updateTask gives a task the answers to some of its questions. Answers to
// nothing that it asks are ignored.
func (s *Server) updateTask(j job.Job, m *message) error {
	if !jsonscan.IsObject(m.inputResponses) {
		return errBadAnswers
	}
	answers := map[string]json.RawMessage{}
	for key, value := range jsonscan.Members(m.inputResponses) {
		if len(answers) == maxAnswers {
			return errBadAnswers
		}
		answers[string(key)] = slices.Clone(value)
	}
	return s.parked.answer(j.ID, answers)
}

// parked are the questions of tasks that wait for answers.
type parked struct {
	mu   sync.Mutex
	byID map[job.ID]*park // each task asks one set of questions at a time
}

// park is one set of questions. Its maps are owned by parked.mu, until all is
// closed.
type park struct {
	questions []tools.Question
	answers   map[string]json.RawMessage
	all       chan struct{} // closed when every question has its answer
}

func (p *park) answer(key string) json.RawMessage { return p.answers[key] }

func (p *parked) add(id job.ID, questions []tools.Question) *park {
	k := &park{questions: questions, answers: map[string]json.RawMessage{}, all: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil {
		p.byID = map[job.ID]*park{}
	}
	p.byID[id] = k
	return k
}

func (p *parked) drop(id job.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

// pending returns the questions of a task that have no answer yet.
func (p *parked) pending(id job.ID) []tools.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.byID[id]
	if k == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(k.questions), func(q tools.Question) bool { return k.answers[q.Key] != nil })
}

// answer takes the answers that a task waits for, or none if one of them does not
// fit its question.
func (p *parked) answer(id job.ID, answers map[string]json.RawMessage) error {
	open := p.pending(id)
	taken := map[string]json.RawMessage{}
	for _, q := range open {
		if raw, ok := answers[q.Key]; ok {
			if err := checkAnswer(q, raw); err != nil {
				return err
			}
			taken[q.Key] = raw
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.byID[id]
	if k == nil || len(taken) == 0 || len(k.answers) == len(k.questions) {
		return nil
	}
	for key, raw := range taken {
		if k.answers[key] == nil && slices.ContainsFunc(k.questions, func(q tools.Question) bool { return q.Key == key }) {
			k.answers[key] = raw
		}
	}
	if len(k.answers) == len(k.questions) {
		close(k.all)
	}
	return nil
}
