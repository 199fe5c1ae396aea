package tools

import (
	"bytes"
	"encoding/json"
	"errors"
)

// errOpaque is why the parameters of a tool that Define did not make cannot be
// shown to anybody else.
var errOpaque = errors.New("the tool reads its parameters in its own way")

// Normal returns parameters as t understands them: every parameter that t knows,
// the common ones included, in its declared type, with its default where none was
// sent. What t would refuse is an error, a *BadArguments. Whoever judges a call
// by its parameters must look at these: "3" and 3, or an object and a text that
// holds one, are the same to a tool. It costs a decoding and an encoding.
func Normal(t Tool, parameters json.RawMessage) (json.RawMessage, error) {
	n, ok := t.(interface {
		normal(parameters json.RawMessage) (json.RawMessage, error)
	})
	if !ok {
		return nil, errOpaque
	}
	return n.normal(parameters)
}

func (t *tool[In, Out]) normal(parameters json.RawMessage) (json.RawMessage, error) {
	var in In
	var common Common
	if err := t.read(&Call{}, parameters, &in, &common); err != nil {
		return nil, err
	}
	own, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	shared, err := json.Marshal(common)
	if err != nil {
		return nil, err
	}
	if string(own) == "{}" {
		return shared, nil
	}
	// Parameters of the tool's own come last: they win over a common one of that name.
	return append(append(bytes.TrimSuffix(shared, []byte("}")), ','), own[1:]...), nil
}
