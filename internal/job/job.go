package job

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/session"
)

const (
	idPrefix   = "jb"
	maxNotes   = 64  // entries of a job's progress log
	maxMessage = 256 // bytes of a progress message; more is cut off
	maxStatus  = 512 // bytes of a status message or a failure's text; more is cut off
)

// ID names a job: "jb_" and 130 random bits. It is useless without its owner,
// and never reused.
type ID string

// Ref returns a short stable stand-in for id, for logs, pages and metrics.
func (id ID) Ref() string { return session.ID(id).Ref() }

// LogValue makes structured logs show the reference instead of the id.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Ref()) }

// Job is a snapshot of one job. The JSON in it is shared: read it, do not
// change it. Times are UTC; a time that has not come is zero.
type Job struct {
	ID        ID            `json:"id"`
	Owner     session.Owner `json:"owner"`
	Operation string        `json:"operation"`
	SessionID session.ID    `json:"session_id,omitempty"`

	Created  time.Time     `json:"created"`
	Started  time.Time     `json:"started,omitzero"` // the first attempt
	Updated  time.Time     `json:"updated"`
	Finished time.Time     `json:"finished,omitzero"`
	TTL      time.Duration `json:"ttl"`     // from Created
	Expires  time.Time     `json:"expires"` // from then on it is not found

	State         State  `json:"state"`
	StatusMessage string `json:"status_message,omitempty"` // for people
	Attempts      int    `json:"attempts,omitempty"`       // runs begun
	Seed          uint64 `json:"seed"`

	Progress   Progress        `json:"progress,omitzero"`
	Log        []Note          `json:"log,omitempty"`     // the last 64 reports of progress
	Partial    json.RawMessage `json:"partial,omitempty"` // the best so far; gone when there is a result
	Checkpoint Checkpoint      `json:"checkpoint,omitzero"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      Failure         `json:"error,omitzero"`
	Cancel     Cancel          `json:"cancel,omitzero"`
}

// Progress is how far a job has come. Done never goes down.
type Progress struct {
	Done    float64 `json:"done"`
	Total   float64 `json:"total,omitempty"` // 0 is unknown
	Message string  `json:"message,omitempty"`
}

// Note is one entry of a progress log.
type Note struct {
	At time.Time `json:"at"`
	Progress
}

// Checkpoint is a state from which the operation can go on.
type Checkpoint struct {
	At    time.Time       `json:"at,omitzero"`
	Steps int64           `json:"steps,omitempty"` // checkpoints taken so far
	Data  json.RawMessage `json:"data,omitempty"`  // dropped when the job is over
}

// Failure is why a job failed, safe to show to its owner.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Cancel is how far a cancellation has come. A job can complete in spite of it.
type Cancel struct {
	Requested    time.Time `json:"requested,omitzero"`    // its owner asked
	Acknowledged time.Time `json:"acknowledged,omitzero"` // the run saw it
	Stopped      time.Time `json:"stopped,omitzero"`      // nothing of it runs any more
}

// Brief returns the job without its log and its JSON, for lists and events.
func (j Job) Brief() Job {
	j.Log, j.Partial, j.Result, j.Checkpoint.Data = nil, nil, nil, nil
	return j
}

// move puts the job into another state. That the table allows it is for the
// caller to know: a move outside it is a bug of this package.
func (j *Job) move(next State, at time.Time) {
	if !j.State.CanBecome(next) {
		panic(fmt.Sprintf("job %s: %s cannot become %s", j.ID.Ref(), j.State, next))
	}
	j.State, j.Updated, j.StatusMessage = next, at, ""
	switch {
	case next == Running:
		j.Attempts++
		if j.Started.IsZero() {
			j.Started = at
		}
	case next.Final():
		j.Finished = at
	}
}

// stopped completes the times of a cancellation that was asked for.
func (c *Cancel) stopped(at time.Time) {
	if c.Requested.IsZero() {
		return
	}
	if c.Acknowledged.IsZero() {
		c.Acknowledged = at
	}
	c.Stopped = at
}

// advance takes over a report. What is not a number, or less than before, is
// left out.
func (p *Progress) advance(done, total float64, message string) {
	if !math.IsInf(done, 0) && done > p.Done { // NaN is not greater
		p.Done = done
	}
	p.Total = 0
	if total > 0 && !math.IsInf(total, 0) {
		p.Total = total
	}
	p.Message = cut(message, maxMessage)
}

// cut returns s as valid UTF-8 of at most limit bytes.
func cut(s string, limit int) string {
	if len(s) > limit {
		n := limit
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = strings.Clone(s[:n]) // the rest of the long string can go
	}
	return strings.ToValidUTF8(s, "?")
}

// own returns the job with a log that its holder may keep.
func (j Job) own() Job {
	j.Log = slices.Clone(j.Log)
	return j
}

// now is the time as it is stored: UTC, without a monotonic part.
func now() time.Time { return time.Now().UTC().Round(0) }
