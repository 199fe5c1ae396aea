package app

import (
	"net"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// reserveShare of the places at the door is kept for requests that never queue.
const reserveShare = 16

// door makes what lets requests in.
func (a *App) door() *middleware.Gate {
	h, w := a.cfg.HTTP, a.cfg.Work
	var shed *middleware.Shed
	if w.ShedTarget > 0 {
		shed = middleware.NewShed(pressure{a.scheduler}, w.ShedTarget, w.ShedInterval)
	}
	return middleware.OpenGate(middleware.GateConfig{
		Places: h.MaxInFlight, PerTenant: h.MaxInFlightPerTenant, Reserve: h.MaxInFlight / reserveShare, Streams: h.MaxStreams,
		Bodies: h.MaxBodyBytesInFlight, MaxBody: h.MaxBodyBytes, Shed: shed,
	})
}

// pressure tells the door how long calls wait for the CPU. A backlog of batch
// work is no reason to refuse calls that somebody waits for.
type pressure struct{ scheduler *work.Scheduler }

func (p pressure) Pressure() (time.Duration, bool) {
	return p.scheduler.OldestWait(work.Interactive), true
}

// limit bounds the open connections of a listener.
func (a *App) limit(ln net.Listener) net.Listener {
	h := a.cfg.HTTP
	l := limitConns(ln, h.MaxConnections, h.MaxConnectionsPerAddress, h.TrustedProxies)
	l.silent = a.certs != nil
	return l
}
