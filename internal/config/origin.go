package config

import (
	"cmp"
	"strconv"
	"strings"
)

// Origin says where a value came from. The zero value is the default.
type Origin struct {
	layer layerRank
	name  string // of the file, the variable or the flag
	line  int    // of the file; 0 is the whole file
}

// layerRank orders the layers: a higher one overrides a lower one.
type layerRank int

const (
	fromDefault layerRank = iota
	fromFile
	fromEnv
	fromFlag
)

// String returns "default", "FILE:LINE", "env NAME" or "flag --NAME".
func (o Origin) String() string {
	switch o.layer {
	case fromFile:
		if o.line == 0 {
			return o.name
		}
		return o.name + ":" + strconv.Itoa(o.line)
	case fromEnv:
		return "env " + o.name
	case fromFlag:
		return "flag --" + o.name
	default:
		return "default"
	}
}

// IsDefault reports whether nobody set the value.
func (o Origin) IsDefault() bool { return o.layer == fromDefault }

// compare orders by layer, then by place in it.
func (o Origin) compare(p Origin) int {
	return cmp.Or(cmp.Compare(o.layer, p.layer), strings.Compare(o.name, p.name), cmp.Compare(o.line, p.line))
}

// originOf returns the origin of path, or of the nearest thing that holds it:
// an element given by a flag has the flag's origin.
func originOf(origins map[string]Origin, path string) Origin {
	for {
		if o, ok := origins[path]; ok {
			return o
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return Origin{}
		}
		path = path[:cut]
	}
}
