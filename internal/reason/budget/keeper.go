package budget

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Durable keeps the states of a computation beyond the process.
type Durable interface {
	Restartable() error                    // nothing has an effect before the end
	Resume() (json.RawMessage, bool)       // the state to go on from
	Due() bool                             // a state would be kept now; cheap
	Checkpoint(data json.RawMessage) error // keeps a state
	Partial(data json.RawMessage) error    // keeps the best so far, for readers
	Stop() <-chan struct{}                 // closed when the process wants to stop
}

// MaxState is how many bytes of JSON a state may have for a computation to offer
// it to a Durable.
const MaxState = 4 << 20

// ErrTooLarge is what a computation says of a state beyond MaxState.
var ErrTooLarge = errors.New("the state is too large to be kept")

// Keeper is the place where one computation keeps its states. A nil Keeper keeps
// nothing. It belongs to the goroutine that runs the computation.
//
// A state that is too large is not kept, and no further one is tried: states only
// grow. The last one that fitted stands, and a process that takes over repeats
// what came after it.
type Keeper struct {
	to      Durable
	stopped error
	digest  string
	full    bool
}

// kept is the form of a state.
type kept struct {
	Digest string `json:"digest"`
	State  any    `json:"state"`
}

// Keep returns the Keeper of a computation that is described in full by key: its
// kind, parameters, seed and limits. A state of another computation is not
// resumed. to, which may be nil, is told that the computation may be restarted.
// stopped is what Save returns once the process wants to stop.
func Keep(to Durable, stopped error, key any) (*Keeper, error) {
	if to == nil {
		return nil, nil
	}
	if err := to.Restartable(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(key)
	if err != nil {
		return nil, fmt.Errorf("describe the computation: %w", err)
	}
	sum := sha256.Sum256(text)
	return &Keeper{to: to, stopped: stopped, digest: hex.EncodeToString(sum[:])}, nil
}

// Resume reads the state to go on from into v, a pointer. It reports false, and
// leaves v in any condition, if there is none of this computation.
func (k *Keeper) Resume(v any) bool {
	if k == nil {
		return false
	}
	data, ok := k.to.Resume()
	if !ok {
		return false
	}
	// The digest first: the state of another computation may not fit v.
	var whose struct {
		Digest string          `json:"digest"`
		State  json.RawMessage `json:"state"`
	}
	return json.Unmarshal(data, &whose) == nil && whose.Digest == k.digest && json.Unmarshal(whose.State, v) == nil
}

// Due reports whether Save has something to do. It is cheap.
func (k *Keeper) Due() bool {
	return k != nil && k.to.Due() && (!k.full || k.stopping())
}

// Save keeps what state returns, if it is not nil, and returns an error if the
// computation must not go on: that it was stopped, or that nobody wants it any
// longer. state may fail with ErrTooLarge.
func (k *Keeper) Save(state func() (any, error)) error {
	if k == nil {
		return nil
	}
	if !k.full {
		if err := k.save(state); err != nil {
			return err
		}
	}
	if k.stopping() {
		return k.stopped
	}
	return nil
}

func (k *Keeper) save(state func() (any, error)) error {
	v, err := state()
	if err == nil && v != nil {
		var data json.RawMessage
		if data, err = json.Marshal(kept{k.digest, v}); err == nil {
			err = k.to.Checkpoint(data)
		}
	}
	if errors.Is(err, ErrTooLarge) || err != nil && fault.KindOf(err) == fault.TooLarge {
		k.full = true
		return nil
	}
	return err
}

// Partial shows the best so far to whoever asks before the end. One that is too
// large is not shown.
func (k *Keeper) Partial(v any) error {
	if k == nil {
		return nil
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = k.to.Partial(data)
	}
	if err != nil && fault.KindOf(err) == fault.TooLarge {
		return nil
	}
	return err
}

func (k *Keeper) stopping() bool {
	select {
	case <-k.to.Stop():
		return true
	default:
		return false
	}
}
