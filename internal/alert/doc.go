// Package alert says when the server is in trouble, and tells somebody.
//
// From the bottom up: rule.go is what is looked at and from where on it is too
// much; standard.go lists the rules that ship; history.go turns counters into
// what they grew by; evaluator.go is the state machine, pure: samples and times
// go in, transitions come out. outbox.go is what has still to be told, sign.go
// and payload.go what goes over the wire, webhook.go one attempt to send it.
// manager.go owns all of them in one goroutine: it samples, steps, logs,
// publishes, saves and sends.
//
// An alert is one rule: there are no labels for tenants or sessions, so there
// are as many alerts as rules, however many callers there are.
package alert
