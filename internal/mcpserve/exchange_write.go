package mcpserve

import "github.com/lyceum-mcp/lyceum/internal/reply"

// openLocked makes the stream of the exchange, of which the writer sends the headers.
func (x *exchange) openLocked() {
	if x.stream != nil {
		return
	}
	x.stream = reply.NewStream(x.w, x.timeout)
	if x.feeds != nil && x.conn.Err() == nil { // else nobody has an id to resume from
		x.own = x.feeds.open(x.resume, x.stream, false)
		return
	}
	f := &feed{}
	x.own = newCarrier(f, x.stream, 0)
	f.carrier = x.own
}

// sayLocked makes b an event of the stream and returns its number. It waits for
// nobody: whoever computes holds a turn on the CPU, which a reader who has stopped
// reading must not keep. What the feed has no room for is left out, oldest first.
func (x *exchange) sayLocked(b []byte, pinned bool) uint64 {
	x.openLocked()
	n := x.own.feed.add(b, pinned)
	x.writeLocked()
	return n
}

// writeLocked lets the writer look for what there is to do, and starts it if it
// rests. It ends when it has nothing to do; still waits for it.
func (x *exchange) writeLocked() {
	x.more = true
	if x.idle == nil {
		x.idle = make(chan struct{})
		go x.write()
	}
}

func (x *exchange) write() {
	for {
		x.mu.Lock()
		if !x.more {
			close(x.idle)
			x.idle = nil
			x.mu.Unlock()
			return
		}
		beat := x.beat
		x.more, x.beat = false, false
		x.mu.Unlock()
		x.push()
		if beat {
			x.pulse()
		}
	}
}

// still waits until the writer rests: for as long as a write may take, if nobody
// reads. Nothing may be said meanwhile.
func (x *exchange) still() {
	x.mu.Lock()
	idle := x.idle
	x.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// lasting reports whether the stream can be resumed. The stream is open.
func (x *exchange) lasting() bool { return x.own.feed.session != nil }

// push sends what is new, or wakes who carries the stream now. It belongs to the
// writer and, when that is still, to the goroutine of the request.
func (x *exchange) push() {
	if !x.own.primed {
		x.own.primed = true
		if x.lasting() && x.own.prime(x.revision) != nil {
			x.feeds.leave(x.own)
		}
	}
	if x.lasting() {
		x.feeds.push(x.own)
		return
	}
	if x.ends != nil && x.ends.Err() != nil {
		x.own.feed.abandon()
	}
	if _, err := x.own.flush(); err != nil {
		x.own.feed.abandon() // the request ends by itself
	}
}

// pulse sends a comment, and arranges for the next one.
func (x *exchange) pulse() {
	if err := x.stream.KeepAlive(x.keepAlive); err != nil {
		if x.lasting() { // who resumes it keeps that connection alive
			x.feeds.leave(x.own)
		}
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.done {
		x.timer.Reset(x.keepAlive)
	}
}
