// Package decide offers decision analysis as a tool: it reads options, criteria,
// payoffs and judgements in the forms that clients send, keeps the decision in
// the session, and leaves the arithmetic to internal/reason/decision.
package decide
