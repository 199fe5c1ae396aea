package work

import (
	"cmp"
	"errors"
	"runtime"
)

// Resources are the things that calls compete for, each shared fairly by a
// scheduler of its own. A call holds at most one ticket of each, and takes CPU
// last: who waits for a process or a reply must not hold a core.
type Resources struct {
	CPU      *Scheduler // cores
	Sandbox  *Scheduler // child processes
	Blocking *Scheduler // outgoing requests
}

// NewResources returns schedulers for cfg, which must be valid. Sandbox and
// Blocking have the weights, bounds and waits of the CPU. Their tickets are
// held until the process or the request ends, without yielding, so one tenant
// gets at most half of each, rounded up.
func NewResources(cfg Config) *Resources {
	return &Resources{CPU: New(cfg), Sandbox: New(cfg.sandbox()), Blocking: New(cfg.blocking())}
}

// Reconfigure does Scheduler.Reconfigure for all resources. It changes nothing
// if cfg is not valid.
func (r *Resources) Reconfigure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	return errors.Join(
		r.CPU.Reconfigure(cfg), r.Sandbox.Reconfigure(cfg.sandbox()), r.Blocking.Reconfigure(cfg.blocking()))
}

func (cfg Config) sandbox() Config {
	return cfg.held(cmp.Or(cfg.Sandbox, cfg.Tickets, runtime.GOMAXPROCS(0)))
}

func (cfg Config) blocking() Config { return cfg.held(cmp.Or(cfg.Blocking, DefaultBlocking)) }

// held returns cfg for a resource of n tickets that are held without yielding.
func (cfg Config) held(n int) Config {
	cfg.Tickets, cfg.MaxRunningPerTenant, cfg.Adaptive = n, (n+1)/2, Adaptive{}
	return cfg
}
