package alert

import "time"

// Names of the values that the standard rules look at. Those that end in _total
// are counters since the start of the process.
const (
	QueueWait       = "queue_wait_seconds"         // of calls for their first turn, the p99 of the last minute
	QueueOldest     = "queue_oldest_seconds"       // that the call has waited so far that waits longest; 0 if none does
	Offered         = "requests_offered_total"     // requests that came to the door
	Refused         = "requests_refused_total"     // of these and of their calls, refused because the server had no room
	LostWorkers     = "lost_workers"               // calls that hold a core although their time is over
	StoreErrors     = "store_errors_total"         // failed reads and writes of the store
	AuditFailing    = "audit_failing"              // 1 while the audit log cannot be written
	AuditLost       = "audit_lost_total"           // audit records that were lost, or refused with their calls
	IdentityOutages = "identity_unavailable_total" // requests whose token nobody could judge
	QuotaErrors     = "quota_errors_total"         // failed reads and writes of quotas
	DrainShare      = "drain_ratio"                // of drain.timeout that has passed; 0 when not draining
	SessionShare    = "session_cap_ratio"          // of the caps on all sessions and their bytes that is used, the larger
	MemoryShare     = "memory_limit_ratio"         // of the process's memory limit that is used; missing without a limit
	WebhookLag      = "webhook_lag_seconds"        // that the oldest notification has waited; the Manager adds it
)

// Standard returns the rules that ship, a new list each time.
func Standard() []Rule {
	return []Rule{
		{
			Name: "LyceumQueueWait", Severity: Warning, Unit: "s",
			Summary: "Calls wait too long for a core.",
			Measure: Measure{Of: QueueWait}, Above: 2, Clear: 1, For: 30 * time.Second, Hold: time.Minute,
		},
		{
			Name: "LyceumQueueStalled", Severity: Critical, Unit: "s",
			Summary: "A call waits for a core and none comes free.",
			Measure: Measure{Of: QueueOldest}, Above: 10, Clear: 2, For: 15 * time.Second, Hold: 30 * time.Second,
		},
		{
			Name: "LyceumRejections", Severity: Warning, Unit: "ratio",
			Summary: "Requests are refused because the server has no room for them.",
			Measure: Measure{Of: Refused, Over: Offered, In: time.Minute, Least: 20}, Above: 0.05, Clear: 0.01, For: time.Minute, Hold: time.Minute,
		},
		{
			Name: "LyceumLostWorkers", Severity: Critical, Unit: "calls",
			Summary: "Calls hold cores although their time is over.",
			Measure: Measure{Of: LostWorkers}, For: 30 * time.Second, Hold: 30 * time.Second,
		},
		{
			Name: "LyceumStoreErrors", Severity: Critical, Unit: "errors in 5 minutes",
			Summary: "The store of sessions and jobs fails.",
			Measure: Measure{Of: StoreErrors, In: 5 * time.Minute},
		},
		{
			Name: "LyceumAuditFailing", Severity: Critical, Unit: "1 is failing",
			Summary: "The audit log cannot be written.",
			Measure: Measure{Of: AuditFailing}, Hold: 30 * time.Second,
		},
		{
			Name: "LyceumAuditLost", Severity: Critical, Unit: "records in 10 minutes",
			Summary: "Audit records were lost, or calls were refused for want of them.",
			Measure: Measure{Of: AuditLost, In: 10 * time.Minute},
		},
		{
			Name: "LyceumIdentityUnavailable", Severity: Critical, Unit: "requests in a minute",
			Summary: "Tokens cannot be judged: an issuer or its keys cannot be reached.",
			Measure: Measure{Of: IdentityOutages, In: time.Minute}, For: 30 * time.Second, Hold: time.Minute,
		},
		{
			Name: "LyceumQuotaStore", Severity: Warning, Unit: "errors in 5 minutes",
			Summary: "Daily quotas cannot be loaded or saved.",
			Measure: Measure{Of: QuotaErrors, In: 5 * time.Minute},
		},
		{
			Name: "LyceumDrainStuck", Severity: Warning, Unit: "ratio",
			Summary: "The server is stopping, and calls in flight do not come to an end.",
			Measure: Measure{Of: DrainShare}, Above: 0.8, Clear: 0.8,
		},
		{
			Name: "LyceumSessionsNearCap", Severity: Warning, Unit: "ratio",
			Summary: "Sessions are near their cap: soon the least used ones end to make room.",
			Measure: Measure{Of: SessionShare}, Above: 0.9, Clear: 0.8, For: time.Minute, Hold: time.Minute,
		},
		{
			Name: "LyceumMemoryNearLimit", Severity: Critical, Unit: "ratio",
			Summary: "The process is near its memory limit.",
			Measure: Measure{Of: MemoryShare}, Above: 0.9, Clear: 0.8, For: time.Minute, Hold: time.Minute,
		},
		{
			Name: "LyceumWebhookFailing", Severity: Warning, Unit: "s",
			Summary: "Notifications of alerts do not reach their receiver.",
			Measure: Measure{Of: WebhookLag}, Above: 300,
		},
	}
}
