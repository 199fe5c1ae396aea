package limit

import (
	"errors"
	"fmt"
	"time"
)

// Per says who shares a bucket.
type Per uint8

// Who shares a bucket. All three lie within one tenant.
const (
	PerTenant Per = iota // everybody of a tenant
	PerOwner             // one (tenant, issuer, subject), whatever its tokens
	PerToken             // one credential
)

var pers = [...]string{"tenant", "owner", "token"}

// String returns "tenant", "owner" or "token".
func (p Per) String() string { return pers[p] }

// Unit says what is counted.
type Unit uint8

// What is counted.
const (
	Calls Unit = iota // one for each call
	Cost              // the operation's cost, in its own units
	CPU               // CPU time, in nanoseconds
)

var units = [...]string{"calls", "cost", "cpu"}

// String returns "calls", "cost" or "cpu".
func (u Unit) String() string { return units[u] }

// Each as a limit's or quota's Operation gives every operation a bucket of its
// own.
const Each = "*"

// SessionsOpen is the operation of opening a session. It is charged to limits
// that name it and to no others: opening is bounded by itself.
const SessionsOpen = "sessions.open"

// Limit is a rate: Amount units come back in every Period, up to Burst. It is
// counted in memory, and starts full with the process.
type Limit struct {
	Name      string // of letters a–z, digits, dots, dashes and underscores
	Per       Per
	Operation string // one that it is for; "" is all of them in one bucket, Each a bucket for each
	Unit      Unit
	Amount    int64 // 0 is no limit
	Period    time.Duration
	Burst     int64 // what a bucket holds; 0 is Amount
	Debt      int64 // how far settlement may take a bucket below empty; 0 is Burst
}

// Quota is what may be used in a day of UTC. It outlives the process.
type Quota struct {
	Name      string
	Per       Per    // PerTenant or PerOwner: a token would be a way out
	Operation string // as of a Limit, but not Each
	Unit      Unit
	Amount    int64 // a day; 0 is no quota
	// Block is what is leased at a time, and the most that a counter loses, to
	// its owner's disfavour, when the process is killed. 0 is a hundredth of
	// Amount.
	Block     int64
	OnFailure OnFailure
}

// Override is what one tenant has instead of a limit's or quota's Amount, and of
// the Burst of a limit.
type Override struct {
	Tenant string
	Name   string // of the limit or quota
	Amount int64  // 0 lifts it
	Burst  int64  // 0 is Amount
}

// OnFailure says what a quota does while its Source cannot be reached.
type OnFailure uint8

const (
	// Closed refuses what would need another block: no quota is ever exceeded.
	Closed OnFailure = iota
	// Open goes on with what this process knows, and counts that it did. What
	// other processes used that day is added when the Source is back.
	Open
)

// Config is everything that can be configured. The zero value limits nothing.
type Config struct {
	Limits    []Limit
	Quotas    []Quota
	Overrides []Override
	Costs     map[string]int64 // of operations, instead of what they say themselves

	// MaxBuckets bounds the buckets of owners and tokens, MaxBucketsPerTenant
	// those of one tenant; what comes beyond shares one for each limit. 0 is the
	// default.
	MaxBuckets          int
	MaxBucketsPerTenant int
	// MaxTenants bounds the tenants with buckets of their own, those with
	// overrides not counted. 0 is the default.
	MaxTenants int
	// MaxCounters bounds the quota counters in memory. 0 is the default.
	MaxCounters int
}

// Defaults of the zero values of Config, and bounds of its lists.
const (
	DefaultMaxBuckets          = 1 << 18
	DefaultMaxBucketsPerTenant = 1 << 14
	DefaultMaxTenants          = 1 << 14
	DefaultMaxCounters         = 1 << 16

	maxNames     = 4096 // limits and quotas that one process ever hears of
	maxApplying  = 12   // limits and quotas that one call is charged to
	maxName      = 64
	maxQuota     = maxAmount
	defaultBlock = 100
)

// Validate returns everything that is wrong with c, joined.
func (c Config) Validate() error {
	_, err := newPlans(c, func(string) *tally { return new(tally) })
	return err
}

func (l Limit) shape() (*shape, error) {
	burst := l.Burst
	if burst == 0 {
		burst = l.Amount
	}
	debt := l.Debt
	if debt == 0 {
		debt = burst
	}
	return newShape(l.Amount, l.Period, burst, debt)
}

func (q Quota) check() error {
	var errs []error
	if q.Amount < 0 || q.Amount > maxQuota {
		errs = append(errs, fmt.Errorf("amount is %d, want 0 to %d", q.Amount, maxQuota))
	}
	if q.Block < 0 || q.Block > maxQuota {
		errs = append(errs, fmt.Errorf("block is %d, want 0 to %d", q.Block, maxQuota))
	}
	if q.Per > PerOwner {
		errs = append(errs, errors.New("a quota is per tenant or per owner"))
	}
	if q.OnFailure > Open {
		errs = append(errs, errors.New("on failure it is closed or open"))
	}
	if q.Operation == Each {
		errs = append(errs, errors.New("a quota names its operation, or none"))
	}
	return errors.Join(errs...)
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("the name %q has %d bytes, want 1 to %d", name, len(name), maxName)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return fmt.Errorf("the name %q has %q in it, want letters a to z, digits, dots, dashes and underscores", name, c)
		}
	}
	return nil
}
