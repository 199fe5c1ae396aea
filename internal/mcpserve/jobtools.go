package mcpserve

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxWaitSeconds is how long job_result waits at most.
const maxWaitSeconds = 30

type jobResultInput struct {
	JobID       string  `json:"jobId" doc:"The job, as the call that became it was answered." required:"true" maxLen:"128"`
	WaitSeconds float64 `json:"waitSeconds" doc:"Wait up to this long for the job to end." default:"0" min:"0" max:"30"`
}

type jobCancelInput struct {
	JobID  string `json:"jobId" doc:"The job to stop." required:"true" maxLen:"128"`
	Reason string `json:"reason" doc:"Why, for the server's log." maxLen:"256"`
}

type jobListInput struct {
	Limit  int    `json:"limit" doc:"At most this many." default:"50" min:"1" max:"500"`
	Before string `json:"before" doc:"Continue after this jobId of an earlier list." maxLen:"128"`
}

type progressView struct {
	Done    float64 `json:"done"`
	Total   float64 `json:"total,omitempty"` // absent: unknown
	Message string  `json:"message,omitempty"`
}

type noteView struct {
	At time.Time `json:"at"`
	progressView
}

// jobView is a job as its owner sees it.
type jobView struct {
	JobID         job.ID          `json:"jobId"`
	Operation     string          `json:"operation"`
	SessionID     session.ID      `json:"sessionId,omitempty"`
	State         job.State       `json:"state"`
	StatusMessage string          `json:"statusMessage,omitempty"`
	Created       time.Time       `json:"created"`
	Started       *time.Time      `json:"started,omitempty"`
	Finished      *time.Time      `json:"finished,omitempty"`
	ExpiresAt     time.Time       `json:"expiresAt"`
	Attempts      int             `json:"attempts,omitempty"`
	Progress      *progressView   `json:"progress,omitempty"`
	Log           []noteView      `json:"log,omitempty"`
	Partial       json.RawMessage `json:"partial,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"` // the envelope of the call
	Error         *job.Failure    `json:"error,omitempty"`
	// Cancel is how far a cancellation has come: requested, acknowledged by the
	// operation, stopped. A job can complete in spite of it.
	Cancel          string `json:"cancel,omitempty"`
	PollAfterMillis int64  `json:"pollAfterMillis,omitempty"`
}

type jobListOutput struct {
	Jobs  []jobView `json:"jobs"`
	Total int       `json:"total"`
	More  string    `json:"more,omitempty"` // pass as "before" for the next page
}

type jobCancelOutput struct {
	jobView
	Asked bool `json:"asked"` // false: it had ended before
}

func viewProgress(p job.Progress) *progressView {
	if p == (job.Progress{}) {
		return nil
	}
	return new(progressView(p))
}

func viewJob(j job.Job) jobView {
	v := jobView{
		JobID: j.ID, Operation: j.Operation, SessionID: j.SessionID, State: j.State, StatusMessage: j.StatusMessage,
		Created: j.Created, Started: moment(j.Started), Finished: moment(j.Finished), ExpiresAt: j.Expires, Attempts: j.Attempts,
		Progress: viewProgress(j.Progress), Partial: j.Partial, Result: j.Result,
		Cancel: cancelState(j.Cancel), PollAfterMillis: pollAfter(j).Milliseconds(),
	}
	for _, n := range j.Log {
		v.Log = append(v.Log, noteView{n.At, progressView(n.Progress)})
	}
	if j.Error != (job.Failure{}) {
		v.Error = &j.Error
	}
	return v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// cancelState names the last step of a cancellation that has happened.
func cancelState(c job.Cancel) string {
	switch {
	case !c.Stopped.IsZero():
		return "stopped"
	case !c.Acknowledged.IsZero():
		return "acknowledged"
	case !c.Requested.IsZero():
		return "requested"
	}
	return ""
}

// jobTools are the tools with which a caller looks after its long calls.
func (s *Server) jobTools() []tools.Tool {
	base := tools.Spec{Family: "job", Scope: policy.Reason, Lane: work.Inline, Stateless: true, Plain: true, Method: "job"}
	spec := func(name, title, summary, example string, e tools.Effect) tools.Spec {
		sp := base
		sp.Name, sp.Title, sp.Summary, sp.Effect = name, title, summary, e
		sp.Examples = []tools.Example{{Title: title, Arguments: example}}
		return sp
	}
	result := tools.Define(spec("job_result", "Get a job's result",
		"Returns one of your jobs: state, progress, and the result when it has completed. A call that takes long becomes a job.",
		`{"jobId":"jb_…","waitSeconds":30}`, tools.ReadOnly), s.jobResult)
	cancel := tools.Define(spec("job_cancel", "Cancel a job",
		"Asks one of your jobs to stop and tells how far that has come: requested, acknowledged or stopped.",
		`{"jobId":"jb_…","reason":"not needed"}`, tools.Deletes), s.jobCancel)
	list := tools.Define(spec("job_list", "List jobs",
		"Lists your own jobs, newest first, without their results.", `{}`, tools.ReadOnly),
		func(ctx context.Context, _ *tools.Call, in jobListInput) (jobListOutput, error) {
			return jobPage(s.Jobs.List(callerOwner(ctx)), in), nil
		})
	return []tools.Tool{result, cancel, list}
}

func (s *Server) jobResult(ctx context.Context, _ *tools.Call, in jobResultInput) (jobView, error) {
	limit := time.Duration(in.WaitSeconds * float64(time.Second))
	if limit > 0 {
		ctx.Value(callCtx{}).(*toolCall).x.watch()
	}
	j, err := s.Jobs.Wait(ctx, callerOwner(ctx), job.ID(in.JobID), limit)
	if err != nil {
		return jobView{}, err
	}
	return viewJob(j), nil
}

func (s *Server) jobCancel(ctx context.Context, _ *tools.Call, in jobCancelInput) (jobCancelOutput, error) {
	j, asked, err := s.Jobs.Cancel(ctx, callerOwner(ctx), job.ID(in.JobID))
	if err != nil {
		return jobCancelOutput{}, err
	}
	s.Log.InfoContext(ctx, "job canceled", "job", j.ID, "operation", j.Operation, "asked", asked, "reason", printable(in.Reason))
	return jobCancelOutput{viewJob(j), asked}, nil
}

// jobPage cuts a listing, which comes oldest first. An id that is not in it any
// more starts from the top.
func jobPage(all []job.Job, in jobListInput) jobListOutput {
	out := jobListOutput{Jobs: []jobView{}, Total: len(all)}
	end := len(all)
	for i := range all {
		if in.Before != "" && string(all[i].ID) == in.Before {
			end = i
		}
	}
	for i := end - 1; i >= 0; i-- {
		if len(out.Jobs) == in.Limit {
			out.More = string(out.Jobs[in.Limit-1].JobID)
			break
		}
		out.Jobs = append(out.Jobs, viewJob(all[i]))
	}
	return out
}
