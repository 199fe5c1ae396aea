package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// slotCost is what a slot counts for besides its name and its JSON, so that
// very many tiny ones are bounded too.
const slotCost = 96

// state is the committed state of one session. Its cells may be out of memory
// while nobody uses the session; the rest stays.
type state struct {
	dir   *Directory
	entry *entry

	// turn has room for one: whoever put a token in is the session's one
	// writer. Waiting for it can end with a context, which a mutex cannot.
	turn chan struct{}

	// warm says that decoded values may be kept, so that the sweeper comes.
	warm atomic.Bool

	// cold says that the cells are in the store only. It is set under shard.mu
	// while nothing pins the session, and cleared under shard.mu by the writer.
	cold atomic.Bool

	// unsure says that the store may be ahead: a write ended without an answer.
	// Owned by the writer.
	unsure bool

	// caller is the context of the call that writes, so that what the store does
	// for it is in its trace; nil where there is none. Owned by the writer.
	caller context.Context

	mu sync.Mutex
	// Owned by mu; all but ended and bytes are written only by the writer, who may
	// therefore read them without mu.
	ended   *Ended // nil while the session lives
	version uint64
	bytes   int64
	cells   map[string]*cell
	kinds   []kind // of the cells, also while they are cold; never changed, only replaced
}

// cell is one slot's state.
type cell struct {
	data    json.RawMessage // the envelope; never changed, only replaced
	version uint64          // of the session when data was committed

	// Owned by the writer: a decoding of data, and the handle whose Update made
	// it. Until that is released its call may hold parts of the value.
	decoded any
	holder  *Handle
}

// at returns the version of a cell that may be missing.
func (c *cell) at() uint64 {
	if c == nil {
		return 0
	}
	return c.version
}

var errReleased = errors.New("session handle used after its release")

// reader returns the state to read from, nil if nothing was ever written.
func (h *Handle) reader() (*state, error) {
	if h.marks.has(released) {
		return nil, errReleased
	}
	if err := h.may(AccessRead); err != nil {
		return nil, err
	}
	e := h.e
	if st := e.state.Load(); st != nil {
		return st, nil
	}
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if e.phase == ended {
		return nil, &Ended{e.reason}
	}
	return nil, nil
}

// begin waits for the handle's turn to write and checks that it may. After a
// nil error the caller must call end.
func (h *Handle) begin(ctx context.Context) (*state, error) {
	if h.marks.has(released) {
		return nil, errReleased
	}
	if err := h.may(AccessWrite); err != nil {
		return nil, err
	}
	st, err := h.e.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	if err = st.mayWrite(h); err != nil {
		st.end()
		return nil, err
	}
	st.caller = ctx
	return st, nil
}

// takeTurn makes the caller the session's writer. After a nil error the caller
// must call end.
func (e *entry) takeTurn(ctx context.Context) (*state, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	st, err := e.openState()
	if err != nil {
		return nil, err
	}
	select {
	case st.turn <- struct{}{}:
	default:
		select {
		case st.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err = st.refresh(ctx); err != nil {
		st.end()
		return nil, err
	}
	return st, nil
}

// openState returns the session's state and makes it on first use.
func (e *entry) openState() (*state, error) {
	if st := e.state.Load(); st != nil {
		return st, nil
	}
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if e.phase == ended {
		return nil, &Ended{e.reason}
	}
	st := e.state.Load()
	if st == nil {
		st = newState(e)
		st.cells = make(map[string]*cell)
		e.state.Store(st)
	}
	return st, nil
}

func newState(e *entry) *state {
	return &state{dir: e.shard.dir, entry: e, turn: make(chan struct{}, 1)}
}

func (st *state) end() {
	st.caller = nil
	<-st.turn
}

// context returns that of the call that writes; its end ends no write.
func (st *state) context() context.Context {
	if st.caller == nil {
		return context.Background()
	}
	return st.caller
}

func (st *state) mayWrite(h *Handle) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended != nil {
		return st.ended
	}
	if want := h.expected.Load(); h.marks.has(expecting) && want != st.version {
		return conflict("the session", st.version, want)
	}
	return nil
}

func conflict(what string, at, want uint64) error {
	return coded(fault.Conflict, "version_conflict", "%s is at version %d, the call expects %d: read it again and retry", what, at, want)
}

// read returns the committed envelope of a slot and its version, 0 if there is
// none.
func (st *state) read(name string) (json.RawMessage, uint64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended != nil {
		return nil, 0, st.ended
	}
	c := st.cells[name]
	if c == nil {
		return nil, 0, nil
	}
	return c.data, c.version, nil
}

func slotSize(name string, data json.RawMessage) int64 {
	return int64(slotCost + len(name) + len(data))
}

// cool drops the decoded values, unless somebody writes at the moment.
func (st *state) cool() {
	select {
	case st.turn <- struct{}{}:
	default:
		return
	}
	defer st.end()
	for _, c := range st.cells {
		c.decoded, c.holder = nil, nil
	}
}

func (st *state) currentVersion() uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.version
}

func (st *state) isEmpty() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.bytes == 0 // every slot counts for something
}

// summary returns the version, the size and the names of the slots, each once
// however many keys it has.
func (st *state) summary() (version uint64, size int64, names []string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, k := range st.kinds {
		names = append(names, k.Name)
	}
	return st.version, st.bytes, names
}

func (st *state) keys(name string) []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	var ids []string
	for full := range st.cells {
		if id, ok := strings.CutPrefix(full, name+"/"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (st *state) export() map[string]json.RawMessage {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := make(map[string]json.RawMessage, len(st.cells))
	for name, c := range st.cells {
		all[name] = bytes.Clone(c.data)
	}
	return all
}
