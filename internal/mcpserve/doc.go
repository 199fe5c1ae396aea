// Package mcpserve puts tools behind the Model Context Protocol.
//
// It is our own Streamable HTTP transport over mcp-go's
// MCPServer.HandleMessage. mcp-go dispatches, holds the registry and negotiates;
// sessions, streams, cancellation, header checks and the decoding of bodies are
// ours, because there each of them crosses clients or loses messages once many
// clients share a process.
//
// # The way of a message, from the bottom up
//
//   - scan.go checks a body once, strictly: one JSON value, no duplicate keys, no
//     key that differs from a protocol key by case only. Whatever passes means
//     the same to every decoder behind it.
//   - message.go takes the few members out that the transport decides by.
//   - era.go tells the revision: each request says it (2026-07-28), or its
//     transport session does (before). headers.go holds a request's headers
//     against the decoded body.
//   - sessions.go owns the transport sessions of the older revisions.
//   - exchange.go is one request on its way to one answer: JSON, or an event
//     stream once there is something to say before the answer.
//   - task.go is what a tool call does: session, ticket, deadline, tool, envelope.
//     It knows its request only by what it tells it.
//   - toolcall.go is the request of a tool call: scope, arguments, session. A tool
//     that takes microseconds runs on the request's goroutine. Every other one
//     runs as a job (attach.go) for whose result the request waits; if that takes
//     longer than Config.InlineLimit, the answer names the job, and jobtools.go
//     is how its owner goes on with it. resolve.go goes on with one after a crash,
//     drain.go stops them all.
//   - resources.go answers what is asked about resources, prompts and completion:
//     resource_uri.go takes URIs apart, cursor.go seals places in lists,
//     resource_fixed.go has what is the same for everybody and resource_session.go
//     what belongs to an owner. subscribe.go knows who is to be told of a change,
//     resource_change.go notices it, streams.go sends it.
//   - http.go ties these to POST, GET and DELETE.
//
// # Who cancels what
//
// Under 2026-07-28 closing the response is the cancellation. Before, a lost
// connection is not: such a call goes on as a job that its owner finds, and
// notifications/cancelled stops it. Once a call was answered with the id of its
// job, only job_cancel stops it. Ids are compared as they were written, type
// included, within one transport session of one owner.
package mcpserve
