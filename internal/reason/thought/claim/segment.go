package claim

// grade says how far the surroundings of an expression can be trusted.
type grade uint8

const (
	clear    grade = iota // they cannot change what it means
	doubtful              // they may: a false equation is not assessable
	unknown               // they do, or the expression is cut off: nothing is said
)

// segment is an expression that touches an equals sign: tokens[lo:hi].
type segment struct {
	lo, hi int
	grade  grade
	why    string // of a doubtful grade
	prose  bool   // words stand right before it
	dashed bool   // a dash that opens the line stands right before it
	unit   string // the word right after it, lower case
}

// maxSegment bounds the tokens of one expression.
const maxSegment = 256

// compound reports whether the segment computes something.
func (g segment) compound(s *scanner) bool {
	for i := g.lo; i < g.hi; i++ {
		if s.tokens[i].kind == sign && (i > g.lo || s.tokens[i].op != '-' && s.tokens[i].op != '+') {
			return true
		}
		if i > g.lo && s.tokens[i].kind == opening && s.tokens[i-1].operand() {
			return true
		}
	}
	return false
}

// leftOf returns the expression that ends at the equals sign tokens[eq].
func (s *scanner) leftOf(eq int) segment {
	g := segment{lo: eq, hi: eq}
	depth := 0
	for g.lo > 0 && g.hi-g.lo < maxSegment && s.extendsLeft(&g, &depth) {
		g.lo--
	}
	if g.lo == g.hi || depth > 0 || g.hi-g.lo >= maxSegment {
		g.grade = unknown
		return g
	}
	s.gradeLeft(&g)
	return g
}

// extendsLeft reports whether the token before g belongs to it.
func (s *scanner) extendsLeft(g *segment, depth *int) bool {
	t := s.tokens[g.lo-1]
	var first token // of the segment so far
	if g.lo < g.hi {
		first = s.tokens[g.lo]
	}
	juxtaposed := g.lo < g.hi && first.kind == number
	applied := g.lo < g.hi && first.kind == opening
	switch t.kind {
	case number, percent:
		return !juxtaposed && !(applied && (first.spaced || t.kind == percent))
	case closing:
		if juxtaposed || applied && first.spaced {
			return false
		}
		*depth++
		return true
	case opening:
		if *depth == 0 {
			return false
		}
		*depth--
		return true
	case sign:
		return !t.bullet || *depth > 0
	}
	return false
}

// gradeLeft grades what stands before g.
func (s *scanner) gradeLeft(g *segment) {
	first := s.tokens[g.lo]
	if first.kind == sign && first.op != '-' && first.op != '+' {
		g.grade = unknown
		return
	}
	if g.lo == 0 {
		return
	}
	switch t := s.tokens[g.lo-1]; t.kind {
	case equals:
	case line:
		g.grade = s.continued(g.lo - 1)
	case gap:
		c := s.text[t.start]
		switch {
		case (c == ']' || c == '}') && !first.spaced:
			g.grade = unknown // what an index or a macro means is not ours to say
		case first.kind == sign && (!first.spaced || s.spacedAfter(g.lo)):
			g.grade = unknown // it goes on from something else: |x| + 3
		}
	case opening:
		g.grade = s.argument(g.lo - 1)
	case closing:
		if !s.listMark(g.lo - 1) {
			g.doubt("words in brackets stand before it")
		}
	case sign: // a dash at the start of the line
		g.dashed = true
	case word:
		s.gradeLead(g, t, first)
	default:
		g.grade = unknown
	}
}

func (g *segment) doubt(why string) {
	if g.grade < doubtful {
		g.grade, g.why = doubtful, why
	}
}

// gradeLead grades the word t before g.
func (s *scanner) gradeLead(g *segment, t, first token) {
	g.prose = true
	text := s.text[t.start:t.end]
	switch {
	case !first.spaced && !dense(lastRune(text)):
		g.grade = unknown // f(3)
	case first.kind == sign && s.spacedAfter(g.lo):
		g.grade = unknown // x - 3
	case first.kind == sign:
		g.doubt("the sign in front can be an operator")
	case leads(text) == unknown:
		g.grade = unknown
	case leads(text) == doubtful:
		g.doubt("the word " + shorten(text) + " stands before it")
	}
}

// spacedAfter reports whether white space follows token i.
func (s *scanner) spacedAfter(i int) bool {
	return i+1 < len(s.tokens) && s.tokens[i+1].spaced
}

// continued grades the end of line i: the next line goes on with an expression
// that an operator left open.
func (s *scanner) continued(i int) grade {
	for i--; i >= 0 && s.tokens[i].kind == line; i-- {
	}
	if i >= 0 && (s.tokens[i].kind == sign || s.tokens[i].kind == strange) {
		return unknown
	}
	return clear
}

// argument grades the bracket i, which has no partner in the expression: as the
// argument of a function or a factor it changes the meaning.
func (s *scanner) argument(i int) grade {
	if i == 0 {
		return clear
	}
	switch t := s.tokens[i-1]; {
	case t.kind == sign, t.kind == strange:
		return unknown
	case (t.kind == word || t.operand()) && !s.tokens[i].spaced:
		return unknown
	}
	return clear
}

// listMark reports whether the closing bracket i is the end of a mark such as
// "1)" or "(a)" that opens a line.
func (s *scanner) listMark(i int) bool {
	i--
	if i < 0 || s.tokens[i].kind != number && s.tokens[i].kind != word {
		return false
	}
	i--
	if i >= 0 && s.tokens[i].kind == opening {
		i--
	}
	return i < 0 || s.tokens[i].kind == line
}

// rightOf returns the expression that begins after the equals sign tokens[eq].
func (s *scanner) rightOf(eq int) segment {
	g := segment{lo: eq + 1, hi: eq + 1}
	depth := 0
	for g.hi < len(s.tokens) && g.hi-g.lo < maxSegment && s.extendsRight(&g, &depth) {
		g.hi++
	}
	if g.lo == g.hi || depth > 0 || g.hi-g.lo >= maxSegment || s.tokens[g.hi-1].kind == sign {
		g.grade = unknown
		return g
	}
	s.gradeRight(&g)
	return g
}

func (s *scanner) extendsRight(g *segment, depth *int) bool {
	t := s.tokens[g.hi]
	after := g.hi > g.lo && s.tokens[g.hi-1].operand()
	switch t.kind {
	case number:
		return !after
	case opening:
		if after && (t.spaced || s.tokens[g.hi-1].kind == percent) {
			return false
		}
		*depth++
		return true
	case closing:
		if *depth == 0 {
			return false
		}
		*depth--
		return true
	case sign, percent:
		return !t.bullet
	}
	return false
}

// gradeRight grades what stands after g.
func (s *scanner) gradeRight(g *segment) {
	if g.hi == len(s.tokens) {
		return
	}
	switch t := s.tokens[g.hi]; t.kind {
	case equals, gap:
	case line:
		if g.hi+1 < len(s.tokens) && s.tokens[g.hi+1].kind == sign && !s.tokens[g.hi+1].bullet {
			g.doubt("the next line may go on with it")
		}
	case closing:
		if g.hi+1 < len(s.tokens) && s.tokens[g.hi+1].kind == sign {
			g.doubt("an operator follows the bracket")
		}
	case opening:
		g.doubt("a remark in brackets follows")
	case bang:
		g.doubt("the mark ! can be a factorial")
	case word:
		text := s.text[t.start:t.end]
		g.unit = lower(text)
		switch trails(text) {
		case unknown:
			g.grade = unknown
		case doubtful:
			g.doubt("the word " + shorten(text) + " follows, which may be a unit or a condition")
		}
	default:
		g.grade = unknown
	}
}
