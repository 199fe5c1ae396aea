package tools

import (
	"encoding/json"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
)

// anyOf joins the input schemas of tools. What they all take is said once.
func anyOf(all []Tool) json.RawMessage {
	if len(all) == 1 {
		return all[0].InputSchema()
	}
	var schemas []json.RawMessage
	for _, t := range all {
		schemas = append(schemas, t.InputSchema())
	}
	common := shared(schemas)
	var w schemaWriter
	w.WriteString(`{"type":"object","properties":{`)
	first := true
	for name, sub := range jsonscan.Members(propertiesOf(schemas[0])) {
		if common[string(name)] != "" {
			w.key(&first, string(name))
			w.Write(sub)
		}
	}
	w.WriteString(`},"anyOf":[`)
	for i, schema := range schemas {
		if i > 0 {
			w.WriteByte(',')
		}
		w.less(schema, common)
	}
	w.WriteString("]}")
	return w.Bytes()
}

// outline writes a schema of an object with the types of its members and nothing
// below them: a list of tools is paid for by every client, and describe has the
// whole.
func (w *schemaWriter) outline(schema json.RawMessage) {
	w.rewritten(schema, func(first *bool, name string, sub json.RawMessage) {
		w.key(first, name)
		w.WriteByte('{')
		for key, value := range jsonscan.Members(sub) {
			if string(key) == "type" {
				w.WriteString(`"type":`)
				w.Write(value)
			}
		}
		w.WriteByte('}')
	})
}

// propertiesOf returns the properties of a schema of an object.
func propertiesOf(schema json.RawMessage) json.RawMessage {
	for key, value := range jsonscan.Members(schema) {
		if string(key) == "properties" {
			return value
		}
	}
	return nil
}

// shared returns the properties that all the schemas have and describe alike, by
// name.
func shared(schemas []json.RawMessage) map[string]string {
	out := map[string]string{}
	for i, schema := range schemas {
		here := map[string]string{}
		for name, sub := range jsonscan.Members(propertiesOf(schema)) {
			if i == 0 || out[string(name)] == string(sub) {
				here[string(name)] = string(sub)
			}
		}
		out = here
	}
	return out
}

// less writes a schema of an object without the properties that are told
// elsewhere.
func (w *schemaWriter) less(schema json.RawMessage, told map[string]string) {
	w.rewritten(schema, func(first *bool, name string, sub json.RawMessage) {
		if told[name] == "" {
			w.key(first, name)
			w.Write(sub)
		}
	})
}

// rewritten writes a schema of an object, its properties by write.
func (w *schemaWriter) rewritten(schema json.RawMessage, write func(first *bool, name string, sub json.RawMessage)) {
	w.WriteByte('{')
	outer := true
	for key, value := range jsonscan.Members(schema) {
		w.key(&outer, string(key))
		if string(key) != "properties" {
			w.Write(value)
			continue
		}
		w.WriteByte('{')
		first := true
		for name, sub := range jsonscan.Members(value) {
			write(&first, string(name), sub)
		}
		w.WriteByte('}')
	}
	w.WriteByte('}')
}
