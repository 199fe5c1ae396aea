package work

// jobList is a list of jobs in order of arrival. Jobs carry their own links,
// one pair for each list that may hold them.
type jobList struct {
	which      int // index of the links that this list uses
	head, tail *job
}

type link struct{ prev, next *job }

// The lists that may hold a job. A running job is in no other list.
const (
	inSession  = iota // of its session
	inArrivals        // of the queue
	inAccount         // of its tenant
	links
	inSlots = inSession
)

func (l *jobList) pushBack(j *job) {
	j.link[l.which] = link{prev: l.tail}
	if l.tail == nil {
		l.head = j
	} else {
		l.tail.link[l.which].next = j
	}
	l.tail = j
}

func (l *jobList) remove(j *job) {
	at := j.link[l.which]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.link[l.which].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.link[l.which].prev = at.prev
	}
	j.link[l.which] = link{}
}
