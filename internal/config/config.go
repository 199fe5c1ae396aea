// Package config reads, checks and prints the configuration.
//
// Config is the manual: every field's tag says what the setting means, its
// default and its range, and everything else is derived from these tags. A
// setting has one name in three spellings:
//
//	sessions.idle_ttl          key of the YAML file
//	LYCEUM_SESSIONS_IDLE_TTL   environment variable
//	--sessions-idle-ttl        flag
//
// A flag beats the environment, which beats the file, which beats the default.
// Load remembers where each value came from, refuses names it does not know,
// and reports everything that is wrong at once.
package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"time"
)

// Config holds every setting of the server. Values come from Default or Load;
// after that nobody changes them.
//
// Tags: key is the last part of the name; default, min and max are written as a
// person would write the value; enum lists the choices and format names a check
// (for a list, of its elements); unit "bytes" lets a size be written as 1MiB.
type Config struct {
	Addr      string `key:"addr" format:"hostport" default:"127.0.0.1:8383" doc:"address of the main listener; port 0 takes a free one"`
	Dev       bool   `key:"dev" default:"false" doc:"development mode: an identity provider at /dev/idp, on a loopback address only"`
	Data      string `key:"data" format:"path" default:"lyceum-data" doc:"directory of everything that outlives the process"`
	Store     string `key:"store" enum:"file|memory" default:"file" doc:"where sessions and jobs are kept: file is lyceum.db in data, memory forgets them with the process"`
	PublicURL string `key:"public_url" format:"url" default:"" doc:"URL that clients use, without /mcp; empty in development only"`
	Insecure  bool   `key:"insecure" default:"false" doc:"accept that tokens travel over plain HTTP beyond this machine, as on a trusted network"`

	// The short form of one entry of auth.issuers.
	OIDCIssuer   string `key:"oidc_issuer" format:"secure_url" default:"" doc:"the one issuer whose tokens are accepted; short for an entry of auth.issuers"`
	OIDCAudience string `key:"oidc_audience" format:"word" default:"" doc:"audience that a token must name; empty is public_url followed by /mcp"`

	Log       Log       `key:"log" doc:"Log"`
	HTTP      HTTP      `key:"http" doc:"HTTP"`
	TLS       TLS       `key:"tls" doc:"TLS"`
	Limits    Limits    `key:"limits" doc:"Rate limits"`
	Auth      Auth      `key:"auth" doc:"Authentication"`
	Sessions  Sessions  `key:"sessions" doc:"Reasoning sessions"`
	Storage   Storage   `key:"storage" doc:"The file of sessions and jobs"`
	Transport Transport `key:"transport" doc:"Transport sessions of protocol revisions up to 2025-11-25"`
	Work      Work      `key:"work" doc:"Sharing the CPU"`
	Jobs      Jobs      `key:"jobs" doc:"Jobs: runs that outlive their request"`
	Drain     Drain     `key:"drain" doc:"Stopping"`
	Tools     Tools     `key:"tools" doc:"Tools"`
	Admin     Admin     `key:"admin" doc:"Administration"`
	Telemetry Telemetry `key:"telemetry" doc:"Telemetry"`
	Policy    Policy    `key:"policy" doc:"Policy: what is forbidden"`
	Audit     Audit     `key:"audit" doc:"The audit log"`
	Alerts    Alerts    `key:"alerts" doc:"Alerts: who is told of trouble"`

	origins map[string]Origin // by path; written by Load only
}

// Log says what is logged on stderr.
type Log struct {
	Level  string `key:"level" enum:"debug|info|warn|error" default:"info" doc:"the least serious record that is written"`
	Format string `key:"format" enum:"json|text" default:"json" doc:"json for machines, one object a line; text for people"`
}

// Slog returns Level as a level of log/slog.
func (l Log) Slog() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// HTTP bounds connections, requests and streams.
type HTTP struct {
	MaxBodyBytes             int64          `key:"max_body_bytes" unit:"bytes" default:"1MiB" min:"1KiB" max:"64MiB" doc:"largest request body"`
	ReadHeaderTimeout        time.Duration  `key:"read_header_timeout" default:"5s" min:"100ms" max:"1m" doc:"time to send a request's headers"`
	ReadTimeout              time.Duration  `key:"read_timeout" default:"30s" min:"100ms" max:"10m" doc:"time to send a request's body"`
	IdleTimeout              time.Duration  `key:"idle_timeout" default:"2m" min:"1s" max:"1h" doc:"time that a connection may wait for its next request"`
	WriteTimeout             time.Duration  `key:"write_timeout" default:"10s" min:"100ms" max:"10m" doc:"time that one write may take; a stream may have any number of them"`
	Keepalive                time.Duration  `key:"keepalive" default:"15s" min:"1s" max:"5m" doc:"interval of the comments that keep a quiet event stream open"`
	AllowedHosts             []string       `key:"allowed_hosts" format:"host" maxItems:"100" default:"" doc:"Host headers that are served; empty is that of public_url, and loopback names on a loopback address"`
	AllowedOrigins           []string       `key:"allowed_origins" format:"origin" maxItems:"100" default:"" doc:"Origin headers that are served; empty is that of public_url"`
	TrustedProxies           []netip.Prefix `key:"trusted_proxies" maxItems:"100" default:"" doc:"networks of proxies whose word for a client's address is believed"`
	ForwardedHeader          string         `key:"forwarded_header" enum:"auto|forwarded|x-forwarded-for" default:"auto" doc:"header in which trusted proxies name the client; auto takes either, and neither if they differ"`
	MaxInFlight              int            `key:"max_in_flight" default:"8192" min:"1" max:"1000000" doc:"requests served at once, event streams not counted"`
	MaxInFlightPerTenant     int            `key:"max_in_flight_per_tenant" default:"0" min:"0" max:"1000000" doc:"ordinary requests of one tenant served at once, and never more than are free; 0 is half, as many as max_in_flight is no bound"`
	MaxStreams               int            `key:"max_streams" default:"8192" min:"0" max:"1000000" doc:"event streams of everybody, half of them for one tenant; 0 is no bound"`
	MaxBodyBytesInFlight     int64          `key:"max_body_bytes_in_flight" unit:"bytes" default:"256MiB" min:"1MiB" max:"64GiB" doc:"bodies of all requests that are being served, half of it for one tenant"`
	MaxConnections           int            `key:"max_connections" default:"16384" min:"0" max:"1000000" doc:"open connections of a listener; one more is answered with 503; 0 is no bound"`
	MaxConnectionsPerAddress int            `key:"max_connections_per_address" default:"2048" min:"0" max:"1000000" doc:"open connections of one address (a /64 of IPv6), trusted proxies excepted; 0 is no bound"`
	MaxStreamsPerOwner       int            `key:"max_streams_per_owner" default:"16" min:"1" max:"100000" doc:"event streams that one owner may hold open"`
	MaxSubscriptionsPerOwner int            `key:"max_subscriptions_per_owner" default:"256" min:"1" max:"100000" doc:"URIs of resources that one owner may be told of changes of"`
	ResumeWindow             time.Duration  `key:"resume_window" default:"1m" min:"0s" max:"1h" doc:"an event stream of a revision before 2026-07-28 can be resumed this long after its end; 0 is never, and then no event has an id"`
}

// Sessions bounds reasoning sessions.
type Sessions struct {
	IdleTTL           time.Duration `key:"idle_ttl" default:"1h" min:"1s" max:"720h" doc:"a session ends this long after its last call"`
	MaxTTL            time.Duration `key:"max_ttl" default:"24h" min:"1s" max:"8760h" doc:"a session ends this long after its start, used or not"`
	MaxPerOwner       int           `key:"max_per_owner" default:"256" min:"1" max:"1000000" doc:"sessions of one owner; at the cap the owner's least recently used one ends"`
	MaxPerTenant      int           `key:"max_per_tenant" default:"20000" min:"1" max:"10000000" doc:"sessions of one tenant"`
	MaxTotal          int           `key:"max_total" default:"100000" min:"1" max:"10000000" doc:"sessions of everybody"`
	MaxBytes          int64         `key:"max_bytes" unit:"bytes" default:"4MiB" min:"4KiB" max:"256MiB" doc:"state of one session, as stored"`
	MaxBytesPerOwner  int64         `key:"max_bytes_per_owner" unit:"bytes" default:"64MiB" min:"4KiB" max:"64GiB" doc:"state of all sessions of one owner; at the cap the owner's least recently used one ends"`
	MaxBytesPerTenant int64         `key:"max_bytes_per_tenant" unit:"bytes" default:"1GiB" min:"4KiB" max:"1024GiB" doc:"state of all sessions of one tenant"`
	MaxBytesTotal     int64         `key:"max_bytes_total" unit:"bytes" default:"8GiB" min:"4KiB" max:"4096GiB" doc:"state of all sessions of everybody"`
	MaxResidentBytes  int64         `key:"max_resident_bytes" unit:"bytes" default:"256MiB" min:"1MiB" max:"1024GiB" doc:"state that is kept in memory; the rest is read from the store when it is used"`
	ColdAfter         time.Duration `key:"cold_after" default:"5m" min:"1s" max:"720h" doc:"the state of a session leaves memory this long after its last call, if there is a store"`
	MaxGrants         int           `key:"max_grants" default:"32" min:"1" max:"1024" doc:"others of the tenant that one session may be shared with at once"`
	MaxGrantTTL       time.Duration `key:"max_grant_ttl" default:"24h" min:"1s" max:"8760h" doc:"a session is shared for this long at most, and never longer than it lives"`
	TransportDefault  bool          `key:"transport_default" default:"true" doc:"a call without sessionId uses the reasoning session of its transport session, where it has one"`
}

// Storage is about the file that outlives the process.
type Storage struct {
	Key     Secret `key:"key" default:"" doc:"key that encrypts what is stored: 32 bytes in base64 or hexadecimal; after a comma, older keys that still decrypt"`
	KeyFile string `key:"key_file" format:"file_or_empty" default:"" doc:"file with such keys, one a line, instead of key"`
}

// Jobs bounds runs that outlive the request that started them.
type Jobs struct {
	InlineLimit     time.Duration `key:"inline_limit" default:"20s" min:"10ms" max:"10m" doc:"a call that runs longer goes on as a job, and its request is answered"`
	MaxTTL          time.Duration `key:"max_ttl" default:"24h" min:"1s" max:"720h" doc:"a job and its result are gone this long after its start"`
	Retention       time.Duration `key:"retention" default:"1h" min:"1s" max:"720h" doc:"the result of a job can be fetched for this long"`
	CheckpointEvery time.Duration `key:"checkpoint_every" default:"5s" min:"100ms" max:"1h" doc:"least time between two checkpoints of a job"`
}

// Transport bounds transport sessions.
type Transport struct {
	IdleTTL     time.Duration `key:"idle_ttl" default:"1h" min:"1s" max:"720h" doc:"a transport session without request or open stream ends after this time"`
	MaxPerOwner int           `key:"max_per_owner" default:"256" min:"1" max:"1000000" doc:"transport sessions of one owner; a tenant has at most sessions.max_per_tenant"`
}

// Work says how the CPU is shared.
type Work struct {
	Tickets             int            `key:"tickets" default:"0" min:"0" max:"4096" doc:"operations that compute at once; 0 is one for each core"`
	Quantum             time.Duration  `key:"quantum" default:"1ms" min:"100us" max:"1s" doc:"CPU time after which an operation lets others that wait go first"`
	ThreadSlice         time.Duration  `key:"thread_slice" default:"100us" min:"0s" max:"100ms" doc:"time for which the system lets one of the server's threads run while others wait, from Linux 6.12 on; 0s leaves that to the system"`
	MaxQueued           int            `key:"max_queued" default:"4096" min:"1" max:"1000000" doc:"operations of everybody that may wait for the CPU"`
	MaxQueuedPerTenant  int            `key:"max_queued_per_tenant" default:"512" min:"1" max:"1000000" doc:"operations of one tenant that may wait"`
	MaxQueuedPerSubject int            `key:"max_queued_per_subject" default:"256" min:"1" max:"1000000" doc:"operations of one subject that may wait; its tenant's bound holds too"`
	MaxRunningPerTenant int            `key:"max_running_per_tenant" default:"0" min:"0" max:"4096" doc:"operations of one tenant that compute at once; 0 is no bound of its own"`
	WeightInteractive   int            `key:"weight_interactive" default:"16" min:"1" max:"1000" doc:"share of calls that somebody waits for, while other lanes wait too"`
	WeightBatch         int            `key:"weight_batch" default:"1" min:"1" max:"1000" doc:"share of batch work"`
	WeightAdmin         int            `key:"weight_admin" default:"32" min:"1" max:"1000" doc:"share of operators' work"`
	AgeBatch            time.Duration  `key:"age_batch" default:"250ms" min:"1ms" max:"1h" doc:"batch work that waits gets a turn at least this often"`
	AdaptiveMin         int            `key:"adaptive_min" default:"1" min:"1" max:"4096" doc:"least operations that compute at once while adaptive_max is set"`
	AdaptiveMax         int            `key:"adaptive_max" default:"0" min:"0" max:"4096" doc:"lets the number of operations that compute at once follow their latency, up to this; 0 keeps it at tickets"`
	Tenants             []TenantWeight `key:"tenants" maxItems:"1000" default:"" doc:"tenants whose share is not 1"`
	MaxWait             time.Duration  `key:"max_wait" default:"30s" min:"10ms" max:"10m" doc:"time after which a waiting operation is refused"`
	ShedTarget          time.Duration  `key:"shed_target" default:"5s" min:"0s" max:"10m" doc:"calls are refused while others wait longer than this; 0s never refuses for it"`
	ShedInterval        time.Duration  `key:"shed_interval" default:"1s" min:"10ms" max:"1m" doc:"time that calls must have waited too long before any is refused"`
	CallTimeout         time.Duration  `key:"call_timeout" default:"1m" min:"100ms" max:"1h" doc:"time that one operation may run, waiting not counted"`
}

// TenantWeight is one tenant's share of the CPU.
type TenantWeight struct {
	Tenant string `key:"tenant" required:"true" format:"word" doc:"the tenant, as its tokens name it"`
	Weight int    `key:"weight" required:"true" default:"1" min:"1" max:"1000" doc:"its share, while others wait"`
}

// Drain says how the server stops.
type Drain struct {
	Timeout time.Duration `key:"timeout" default:"30s" min:"0s" max:"10m" doc:"time that running operations have to finish after SIGTERM"`
}

// Tools says which tools are offered and what one call may use. A request can
// only ask for less.
type Tools struct {
	Surface        string `key:"surface" enum:"facade|families|both" default:"facade" doc:"one tool for all operations, one typed tool for each family, or both"`
	MaxMillis      int64  `key:"max_millis" default:"30000" min:"1" max:"3600000" doc:"milliseconds of computing in one call"`
	MaxSteps       int64  `key:"max_steps" default:"100000000" min:"1000" max:"1000000000000" doc:"elementary steps of one call"`
	MaxNodes       int64  `key:"max_nodes" default:"1000000" min:"100" max:"1000000000" doc:"objects that one call may keep in memory, such as nodes of a tree"`
	MaxOutputBytes int64  `key:"max_output_bytes" unit:"bytes" default:"1MiB" min:"1KiB" max:"64MiB" doc:"result of one call"`
}

// Admin says where the administration is served.
type Admin struct {
	Addr string `key:"addr" format:"hostport_or_empty" default:"" doc:"address of a second listener for /metrics, /admin and /api; empty serves them on the main one"`
}

// Telemetry says what is measured. Where traces and metrics are sent is said by
// the standard variables OTEL_EXPORTER_OTLP_ENDPOINT and its relatives.
type Telemetry struct {
	SampleRatio float64       `key:"sample_ratio" default:"0.01" min:"0" max:"1" doc:"share of traces that are kept and exported"`
	Metrics     bool          `key:"metrics" default:"true" doc:"measure and serve /metrics"`
	Tenants     []string      `key:"tenants" format:"word" maxItems:"100" default:"" doc:"tenants that metrics always name"`
	TopTenants  int           `key:"top_tenants" default:"0" min:"0" max:"100" doc:"tenants with the most calls of late that metrics name besides; all others are one, other"`
	SlowAfter   time.Duration `key:"slow_after" default:"2s" min:"0s" max:"1h" doc:"a call that takes longer is kept among the slow ones; 0s keeps none"`
	SpanBytes   int64         `key:"span_bytes" unit:"bytes" default:"6MiB" min:"0" max:"1GiB" doc:"memory for recent, slow and failed spans, which the REST interface shows; 0 keeps none"`
	Timelines   int           `key:"timelines" default:"1024" min:"0" max:"100000" doc:"sessions of which the latest calls and events are kept in memory; 0 keeps none"`
	Flight      bool          `key:"flight" default:"false" doc:"keep the last seconds of the runtime's trace in memory, for recordings in the folder flight of data; costs some CPU time"`
	FlightAfter time.Duration `key:"flight_after" default:"10s" min:"0s" max:"1h" doc:"a call that takes longer has a recording written, one a minute at most; 0s writes none"`
	FlightFiles int           `key:"flight_files" default:"10" min:"1" max:"1000" doc:"recordings that are kept"`
}

// Audit says how it is kept who did what.
type Audit struct {
	Dir                string        `key:"dir" format:"file_or_empty" default:"" doc:"directory of the audit log; empty is audit in data, or only memory with store memory"`
	KeyFile            string        `key:"key_file" format:"file_or_empty" default:"" doc:"private key that signs the log, made if it is not there; empty is audit.key in data"`
	Fsync              string        `key:"fsync" enum:"always|interval|none" default:"interval" doc:"when records are forced to the disk: before the answer, every fsync_interval, or when the system likes"`
	FsyncInterval      time.Duration `key:"fsync_interval" default:"1s" min:"1ms" max:"1h" doc:"records that a power failure may cost under fsync interval"`
	OnFull             string        `key:"on_full" enum:"refuse|degrade" default:"refuse" doc:"when records cannot be written: refuse calls, or serve them, count what is not recorded and report ill health"`
	Arguments          string        `key:"arguments" enum:"digest|full|none" default:"digest" doc:"what is kept of a call's arguments: their SHA-256, that and up to 64KiB of them, or nothing"`
	Addresses          bool          `key:"addresses" default:"true" doc:"keep the network addresses of clients"`
	MaxFileBytes       int64         `key:"max_file_bytes" unit:"bytes" default:"64MiB" min:"4KiB" max:"64GiB" doc:"size at which a new file begins"`
	MaxAge             time.Duration `key:"max_age" default:"24h" min:"1m" max:"8760h" doc:"age at which a new file begins"`
	KeepFiles          int           `key:"keep_files" default:"64" min:"-1" max:"1000000" doc:"files that are kept, the newest included; -1 keeps all"`
	KeepAge            time.Duration `key:"keep_age" default:"0s" min:"0s" max:"87600h" doc:"age at which a file that is no longer written is deleted; 0s keeps it"`
	CheckpointEvery    int           `key:"checkpoint_every" default:"1000" min:"1" max:"1000000" doc:"records between two signatures, which is how many at the end could be forged without the key"`
	CheckpointInterval time.Duration `key:"checkpoint_interval" default:"1m" min:"10ms" max:"24h" doc:"longest time that records stay unsigned"`
}

var settings = tableOf(reflect.TypeFor[Config]())

// Default returns the configuration of a server that was told nothing. It is
// complete, but only a development server can run with it.
func Default() *Config {
	c := &Config{origins: map[string]Origin{}}
	settings.setDefaults(reflect.ValueOf(c).Elem())
	return c
}

// Origin returns where the value of the setting path, such as
// "sessions.idle_ttl", came from.
func (c *Config) Origin(path string) Origin { return originOf(c.origins, path) }
