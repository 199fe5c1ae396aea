package alert

import (
	"math"
	"time"
)

// resolution is how many points of a window are kept: the window is longer than
// asked for by at most one part in so many.
const resolution = 32

// point is what two counters stood at.
type point struct {
	at   time.Time
	a, b float64
}

// history remembers two counters for a window, in at most resolution+2 points.
type history struct {
	window time.Duration
	points []point // by time
}

// add notes what the counters stand at and returns what they grew by within the
// window, or since the first note if that is less. A counter that fell belongs to
// another process: it is as if nothing had been noted before.
func (h *history) add(now time.Time, a, b float64) (da, db float64) {
	if n := len(h.points); n > 0 && (a < h.points[n-1].a || b < h.points[n-1].b) {
		h.points = h.points[:0]
	}
	from := 0
	for from+1 < len(h.points) && now.Sub(h.points[from+1].at) >= h.window {
		from++
	}
	h.points = append(h.points[:0], h.points[from:]...)
	if n := len(h.points); n == 0 || now.Sub(h.points[n-1].at) >= h.window/resolution {
		h.points = append(h.points, point{now, a, b})
	}
	first := h.points[0]
	return a - first.a, b - first.b
}

// measured returns the number that m makes of s, and whether there is one.
func (h *history) measured(now time.Time, m Measure, s Sample) (float64, bool) {
	a, known := value(s, m.Of)
	if !known || m.In == 0 {
		return a, known
	}
	var b float64
	if m.Over != "" {
		if b, known = value(s, m.Over); !known {
			return 0, false
		}
	}
	da, db := h.add(now, a, b)
	switch {
	case m.Over == "":
		return da, true
	case db <= 0 || db < m.Least:
		return 0, true
	}
	return min(1, da/db), true
}

func value(s Sample, name string) (float64, bool) {
	v, known := s[name]
	if !known || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}
