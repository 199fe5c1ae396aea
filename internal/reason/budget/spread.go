package budget

import "context"

// Spread calls f for every i from 0 to n-1, on one or several goroutines, and
// returns when all calls have returned. Each call gets a meter without counts of
// its own, which no other call uses at the same time and which gives way and
// stops as the goroutine it runs on must. What is computed does not depend on
// how the calls are spread; the error is why not all of them were made.
type Spread func(n int, f func(m *Meter, i int)) error

// Fan hands calls out to goroutines, each of which has a context of its own. It
// returns when all calls have returned, with the first error.
type Fan func(ctx context.Context, n int, f func(ctx context.Context, i int) error) error

// Inline is the Spread that uses the goroutine of m alone.
func (m *Meter) Inline() Spread {
	return func(n int, f func(*Meter, int)) error {
		for i := range n {
			f(m.Fork(Limits{}), i)
		}
		return nil
	}
}

// Spread uses the goroutines of fan. They stop at the deadline of m, and yield
// gives the turn on the CPU of the goroutine whose context it gets.
func (m *Meter) Spread(fan Fan, yield func(context.Context) error) Spread {
	return func(n int, f func(*Meter, int)) error {
		return fan(m.ctx, n, func(ctx context.Context, i int) error {
			own := m.Fork(Limits{})
			own.ctx, own.yield = ctx, yield
			f(own, i)
			return nil
		})
	}
}

// Follow makes m stop with the goroutine that o belongs to, and give the turn of
// that goroutine: m goes on there. Its limits and counts stay.
func (m *Meter) Follow(o *Meter) { m.ctx, m.yield = o.ctx, o.yield }

// Pause looks up now, without counting: it gives way to others if it is time to,
// and returns false when the computation must stop. It is for work that is no
// step, or for the middle of a long one.
func (m *Meter) Pause() bool { return m.hit == None && m.look() }
