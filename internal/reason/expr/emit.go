package expr

import "fmt"

// instr is one instruction of the stack machine.
type instr struct {
	op  opcode
	arg int32   // slot, or the instruction to go on at
	val float64 // of opConst; the length for opIndex
}

type emitter struct {
	p     *Program
	reads map[int]bool
	now   int // values on the stack
}

// emit translates a checked formula. Constant parts are computed here, unless
// computing them fails: the failure then belongs to whoever evaluates them.
func emit(s *Scope, src string, tree *node) (*Program, error) {
	e := &emitter{p: &Program{src: src, typ: tree.typ}, reads: map[int]bool{}}
	e.node(fold(tree))
	if len(e.p.code) > MaxProgram {
		return nil, errorAt(src, 0, fmt.Sprintf("the formula needs %d instructions", len(e.p.code)), fmt.Sprintf("at most %d", MaxProgram))
	}
	if e.p.depth > MaxStack {
		return nil, errorAt(src, 0, fmt.Sprintf("the formula keeps %d values pending", e.p.depth), fmt.Sprintf("at most %d", MaxStack))
	}
	for slot := range s.vars {
		if e.reads[slot] {
			e.p.slots = append(e.p.slots, slot)
		}
	}
	return e.p, nil
}

// add appends an instruction that changes the number of values on the stack by
// delta, and returns its index.
func (e *emitter) add(in instr, at, delta int) int {
	e.p.code = append(e.p.code, in)
	e.p.at = append(e.p.at, int32(at))
	e.now += delta
	e.p.depth = max(e.p.depth, e.now)
	return len(e.p.code) - 1
}

// land makes the jump at index j go on at the next instruction.
func (e *emitter) land(j int) { e.p.code[j].arg = int32(len(e.p.code)) }

func (e *emitter) node(n *node) {
	switch n.kind {
	case nodeConst:
		e.add(instr{op: opConst, val: n.val}, n.at, 1)
	case nodeVar:
		e.reads[n.slot] = true
		e.add(instr{op: opLoad, arg: int32(n.slot)}, n.at, 1)
	case nodeIndex:
		e.node(n.args[0])
		for i := range n.len {
			e.reads[n.slot+i] = true
		}
		e.add(instr{op: opIndex, arg: int32(n.slot), val: float64(n.len)}, n.at, 0)
	case nodeAnd, nodeOr:
		// The jump keeps the left value where it decides, and drops it where
		// the right one does.
		op := opJumpIfNot
		if n.kind == nodeOr {
			op = opJumpIf
		}
		e.node(n.args[0])
		j := e.add(instr{op: op}, n.at, -1)
		e.node(n.args[1])
		e.land(j)
	case nodeIf:
		e.node(n.args[0])
		no := e.add(instr{op: opBranch}, n.at, -1)
		e.node(n.args[1])
		end := e.add(instr{op: opJump}, n.at, -1)
		e.land(no)
		e.node(n.args[2])
		e.land(end)
	case nodeOp:
		e.operation(n)
	}
}

func (e *emitter) operation(n *node) {
	e.node(n.args[0])
	switch {
	case n.op == opMin || n.op == opMax || n.op == opAdd: // of any number of arguments, pairwise
		for _, a := range n.args[1:] {
			e.node(a)
			e.add(instr{op: n.op}, n.at, -1)
		}
	default:
		for _, a := range n.args[1:] {
			e.node(a)
		}
		e.add(instr{op: n.op}, n.at, 1-len(n.args))
	}
}

// fold replaces what is constant by its value.
func fold(n *node) *node {
	constant := len(n.args) > 0
	for i, a := range n.args {
		n.args[i] = fold(a)
		constant = constant && n.args[i].kind == nodeConst
	}
	switch n.kind {
	case nodeIndex:
		if i := n.args[0]; i.kind == nodeConst && within(i.val, float64(n.len)) {
			return &node{kind: nodeVar, typ: n.typ, at: n.at, slot: n.slot + int(i.val)}
		}
	case nodeIf:
		if c := n.args[0]; c.kind == nodeConst {
			if c.val != 0 {
				return n.args[1]
			}
			return n.args[2]
		}
	case nodeAnd, nodeOr:
		if c := n.args[0]; c.kind == nodeConst {
			if (c.val != 0) == (n.kind == nodeAnd) {
				return n.args[1]
			}
			return c
		}
	case nodeOp:
		if constant {
			return foldOp(n)
		}
	}
	return n
}

func foldOp(n *node) *node {
	e := &emitter{p: &Program{typ: n.typ}}
	e.operation(n)
	if e.p.depth > MaxStack {
		return n
	}
	v, err := e.p.Eval(nil)
	if err != nil {
		return n
	}
	return &node{kind: nodeConst, typ: n.typ, at: n.at, val: v}
}
