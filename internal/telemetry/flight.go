package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"time"
)

// FlightConfig says what a flight recorder keeps. All but Log are needed.
type FlightConfig struct {
	Dir      string        // of the files; it is made when the first is written
	Files    int           // that are kept; the oldest makes room
	Every    time.Duration // between two files, at least
	Window   time.Duration // that a file goes back, at least
	MaxBytes uint64        // of the recording in memory
	Log      *slog.Logger
}

// Flight keeps the last seconds of the Go runtime's execution trace in memory, for
// the moment when somebody wants to know what the process was doing: which
// goroutine waited for which, on which thread, and for the garbage collector. A
// file is read with "go tool trace".
//
// One process has at most one. It is safe for concurrent use.
type Flight struct {
	cfg      FlightConfig
	recorder *trace.FlightRecorder
	wake     chan string // reasons of Trigger
	wg       sync.WaitGroup
	stop     func()

	mu   sync.Mutex // held while a file is written
	last time.Time  // of the last attempt
}

// FlightFile is a recording that was written.
type FlightFile struct {
	Name  string // in the directory
	Bytes int64
	At    time.Time
}

// TooSoonError says that a recording was written a moment ago.
type TooSoonError struct{ After time.Duration }

// Error says when to ask again.
func (e *TooSoonError) Error() string {
	return fmt.Sprintf("a flight recording was written a moment ago: ask again in %s", e.After.Round(time.Second))
}

// StartFlight begins to record. It costs the process a few per cent of its CPU
// time and MaxBytes of memory until Close.
func StartFlight(cfg FlightConfig) (*Flight, error) {
	f := &Flight{
		cfg: cfg, wake: make(chan string, 1),
		recorder: trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: cfg.Window, MaxBytes: cfg.MaxBytes}),
	}
	if err := f.recorder.Start(); err != nil {
		return nil, fmt.Errorf("start the flight recorder: %w", err)
	}
	done := make(chan struct{})
	f.stop = sync.OnceFunc(func() { close(done) })
	f.wg.Go(func() { f.run(done) })
	return f, nil
}

// run writes what Trigger asks for, to the last.
func (f *Flight) run(done <-chan struct{}) {
	for {
		select {
		case reason := <-f.wake:
			f.triggered(reason)
		case <-done:
			select {
			case reason := <-f.wake:
				f.triggered(reason)
			default:
			}
			return
		}
	}
}

func (f *Flight) triggered(reason string) {
	file, err := f.Write(reason)
	if _, soon := errors.AsType[*TooSoonError](err); soon {
		return
	}
	if err != nil {
		f.cfg.Log.Warn("a flight recording could not be written", "error", err)
		return
	}
	f.cfg.Log.Info("a flight recording was written", "file", file.Name, "bytes", file.Bytes, "reason", reason)
}

// Trigger asks for a recording and does not wait for it. It costs nanoseconds; if
// one is due already, or was written a moment ago, nothing comes of it.
func (f *Flight) Trigger(reason string) {
	if f == nil {
		return
	}
	select {
	case f.wake <- reason:
	default:
	}
}

// Write writes a recording of the last seconds and returns its file. reason is a
// word of ours for its name. It fails with a *TooSoonError less than Every after
// the one before, however that went.
func (f *Flight) Write(reason string) (FlightFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if since := now.Sub(f.last); !f.last.IsZero() && since < f.cfg.Every {
		return FlightFile{}, &TooSoonError{After: f.cfg.Every - since}
	}
	f.last = now
	if err := os.MkdirAll(f.cfg.Dir, 0o700); err != nil {
		return FlightFile{}, fmt.Errorf("write a flight recording: %w", err)
	}
	file := FlightFile{Name: flightPrefix + now.UTC().Format("20060102T150405.000000000Z") + "-" + reason + flightSuffix, At: now}
	if err := f.write(&file); err != nil {
		return FlightFile{}, fmt.Errorf("write a flight recording: %w", err)
	}
	if err := f.prune(); err != nil {
		return file, fmt.Errorf("delete old flight recordings: %w", err)
	}
	return file, nil
}

const (
	flightPrefix = "flight-"
	flightSuffix = ".trace"
)

// write writes the file under another name first, so that what is there is whole.
func (f *Flight) write(file *FlightFile) (err error) {
	path := filepath.Join(f.cfg.Dir, file.Name)
	out, err := os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	file.Bytes, err = f.recorder.WriteTo(out)
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), path)
}

// prune deletes the oldest files over the bound; their names sort by time.
func (f *Flight) prune() error {
	entries, err := os.ReadDir(f.cfg.Dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, flightPrefix) && strings.HasSuffix(n, flightSuffix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var errs []error
	for len(names) > f.cfg.Files {
		errs = append(errs, os.Remove(filepath.Join(f.cfg.Dir, names[0])))
		names = names[1:]
	}
	return errors.Join(errs...)
}

// Close ends the recording. What is in memory is gone.
func (f *Flight) Close() {
	f.stop()
	f.wg.Wait()
	f.recorder.Stop()
}
