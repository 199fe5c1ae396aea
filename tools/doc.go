// Package tools defines what a tool is: a typed operation with a name, a
// schema, the scope it needs and the lane it runs in.
//
// # From the bottom up
//
// A plan (plan.go) is made once for each Go input type. It knows the fields, their
// bounds and defaults, and serves two purposes that therefore cannot drift
// apart: it writes the JSON Schema that clients see (schema.go), and it decodes
// what they send (decode.go). Decoding is lenient where the intent is plain ("3"
// for 3, JSON inside a string) because models make these mistakes all the time,
// and it reports every problem at once with a path and what was expected, so
// that a model can repair its call instead of giving the tool up.
//
// Define (define.go) joins a Spec, an input type, an output type and a function
// into a Tool. The function gets a Call: who is calling, the session, the seed,
// the budget, a way to report progress, and the notes that end up in the
// envelope of the result (envelope.go). No number leaves the server without a
// basis, so an envelope always has one.
//
// A Registry (registry.go) holds the tools of a server in their documented order. The
// facade (facade.go) is the single tool clear_thought, whose argument
// "operation" picks from the registry; its parameter names are those that
// clients of the ancestor already send.
//
// The package knows nothing of JSON-RPC or HTTP. Package mcpserve owns the way
// of a call: scope, session, ticket, deadline, tool, commit.
package tools
