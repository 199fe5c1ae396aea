package graph

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func random(rng *rand.Rand, n, m int) Graph {
	var g Graph
	for i := range n {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint("x", i), Label: strings.Repeat("word ", rng.IntN(12))})
	}
	for range m {
		g.Edges = append(g.Edges, Edge{From: fmt.Sprint("x", rng.IntN(n)), To: fmt.Sprint("x", rng.IntN(n))})
	}
	return g
}

// elements counts the elements of an SVG document by name.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return counts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if s, ok := token.(xml.StartElement); ok {
			counts[s.Name.Local]++
		}
	}
}

var hostile = []string{
	`"]; x --> y`, "a\n  n9[\"b\"]", `</text><script>alert(1)</script>`, `\N "quoted" \`, "%% comment", "#quot; &amp; <br/>", "\x00\x1b\ufffe", "日本語のとても長いラベル", strings.Repeat("x", 5000), "]]>", "",
}

func TestLabelsStayLabels(t *testing.T) {
	var g Graph
	for i, text := range hostile {
		g.Nodes = append(g.Nodes, Node{ID: text + fmt.Sprint(i), Label: text, Kind: text, Attrs: map[string]string{text: text}})
		g.Edges = append(g.Edges, Edge{From: text + fmt.Sprint(i), To: g.Nodes[0].ID, Label: text, Kind: text})
	}
	n := len(hostile)
	mermaid, left, err := g.Draw(Mermaid, 0)
	if err != nil || left != (Omitted{}) {
		t.Fatal(err, left)
	}
	lines := strings.Split(strings.TrimSpace(mermaid), "\n")
	if len(lines) != 1+2*n {
		t.Errorf("%d lines of Mermaid, want %d:\n%s", len(lines), 1+2*n, mermaid)
	}
	for _, l := range lines[1 : 1+n] {
		if strings.Count(l, `"`) != 2 || strings.ContainsAny(strings.NewReplacer("<br/>", "", `["`, "", `"]`, "").Replace(l), `<>"[]&%`) {
			t.Errorf("a label is not escaped: %s", l)
		}
	}
	dot, _, err := g.Draw(DOT, 0)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(strings.TrimSpace(dot), "\n") {
		quotes := strings.Count(l, `"`) - strings.Count(strings.ReplaceAll(l, `\\`, ""), `\"`)
		if quotes%2 != 0 || !strings.HasSuffix(l, ";") && !strings.HasSuffix(l, "{") && l != "}" {
			t.Errorf("a line of DOT is not whole: %s", l)
		}
	}
	svg, _, err := g.Draw(SVG, 0)
	if err != nil {
		t.Fatal(err)
	}
	counts := elements(t, svg)
	if counts["g"] != n || counts["script"] != 0 || counts["path"] != n+1 {
		t.Errorf("elements %v, want %d boxes and edges", counts, n)
	}
}

func TestPruneSaysWhatItLeavesOut(t *testing.T) {
	var g Graph
	for i := range 500 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: "n"})
		if i > 0 {
			g.Edges = append(g.Edges, Edge{From: fmt.Sprint((i - 1) / 3), To: fmt.Sprint(i)})
		}
	}
	for _, f := range []Format{Mermaid, DOT, SVG} {
		text, left, err := g.Draw(f, 40)
		if err != nil || left != (Omitted{460, 460}) || !strings.Contains(text, "460") {
			t.Errorf("%s: %v, %v", f, left, err)
		}
	}
	if _, _, err := g.Draw(SVG, MaxNodes+1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a limit too large: %v", err)
	}
	g.Edges = append(g.Edges, Edge{From: "0", To: "nowhere"})
	if _, _, err := g.Draw(SVG, 40); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an edge to nowhere: %v", err)
	}
}

// A drawing of a part has the heaviest way from the root, and else what is nearest
// to it.
func TestPruneFollowsWeight(t *testing.T) {
	var g Graph
	for i := range 40 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: fmt.Sprintf("<%d>", i)})
		if i > 0 {
			g.Edges = append(g.Edges, Edge{From: fmt.Sprint((i - 1) / 3), To: fmt.Sprint(i)})
		}
	}
	for want, heavy := range map[string][]int{"0 1 2 3 4 5": nil, "0 1 2 3 9 29": {3, 9, 29}} {
		for i := range g.Nodes {
			g.Nodes[i].Weight = 0
		}
		for _, i := range heavy {
			g.Nodes[i].Weight = float64(i)
		}
		part, left := g.prune(6, 100)
		var ids []string
		for _, n := range part.Nodes {
			ids = append(ids, n.ID)
		}
		if got := strings.Join(ids, " "); got != want || left != (Omitted{34, 34}) {
			t.Errorf("%s, %v, want %s", got, left, want)
		}
	}
}

// Mermaid is what programs show by default, however much there is to say.
func TestMermaidFits(t *testing.T) {
	var g Graph
	for i := range MaxNodes {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: strings.Repeat("日\"", 500), Attrs: map[string]string{"a": "<>"}})
		for j := range min(i, 2) {
			g.Edges = append(g.Edges, Edge{From: fmt.Sprint(i - 1 - j), To: fmt.Sprint(i)})
		}
	}
	for _, limit := range []int{1, DefaultNodes, MaxNodes} {
		text, left, err := g.Draw(Mermaid, limit)
		if n := len(utf16.Encode([]rune(text))); err != nil || n > mermaidChars || strings.Count(text, "-->") > mermaidEdges || strings.Count(text, "-->")+left.Edges != len(g.Edges) {
			t.Errorf("%d nodes: %d characters, %d edges, %v left out, %v", limit, n, strings.Count(text, "-->"), left, err)
		}
	}
}

// Kinds that searches have show in every form; any other is a client's word.
func TestKindsShow(t *testing.T) {
	g := Graph{Nodes: []Node{{ID: "a", Kind: "pruned"}, {ID: "b", Kind: "pruned; click b"}}}
	for f, want := range map[Format]string{
		Mermaid: "  n0[\"\"]:::kind_pruned\n  n1[\"\"]\n  classDef kind_pruned fill:#eeeeee,",
		DOT:     `n0 [label="", style=filled, fillcolor="#eeeeee"];`,
		SVG:     `fill="#eeeeee"`,
	} {
		text, _, err := g.Draw(f, 0)
		if err != nil || !strings.Contains(text, want) || strings.Contains(text, "click") {
			t.Errorf("%s: %v, %s", f, err, text)
		}
	}
}

// A document that a browser opens runs nothing and loads nothing.
func TestSVGIsInert(t *testing.T) {
	var g Graph
	for i, text := range append(hostile, `" onload="alert(1)`, `'/><a href="javascript:alert(1)">`, "url(http://x)", "&xxe;", "<!DOCTYPE x [") {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: text, Kind: text, Attrs: map[string]string{text: text}})
		g.Edges = append(g.Edges, Edge{From: "0", To: fmt.Sprint(i), Label: text, Kind: text})
	}
	svg, _, err := g.Draw(SVG, 0)
	if err != nil {
		t.Fatal(err)
	}
	elements := map[string]bool{"svg": true, "title": true, "defs": true, "marker": true, "path": true, "rect": true, "g": true, "text": true}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !elements[token.Name.Local] {
				t.Errorf("element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				name := strings.ToLower(a.Name.Local)
				if strings.HasPrefix(name, "on") || strings.Contains(name, "href") || name == "style" || name == "src" ||
					strings.Contains(a.Value, "url(") && a.Value != "url(#a)" || strings.Contains(a.Value, ":") && name != "xmlns" {
					t.Errorf("attribute %s=%q", name, a.Value)
				}
			}
		case xml.Directive, xml.ProcInst, xml.Comment:
			t.Errorf("%T in the drawing", token)
		}
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":    {""},
		"one": {"one"},
		"a label of more than one line of text, such as this": {"a label of more than one line of", "text, such as this"},
		strings.Repeat("x", 70):                               {strings.Repeat("x", 32), strings.Repeat("x", 32), strings.Repeat("x", 6)},
		"to " + strings.Repeat("日", 17) + " end":              {"to", strings.Repeat("日", 16), "日 end"},
	} {
		if got := wrap(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// No box covers another, in either direction of the layers, and all of them are
// in the picture.
func TestBoxesDoNotOverlap(t *testing.T) {
	for s := range uint64(40) {
		rng := seed.Stream(s, 0)
		n := 1 + rng.IntN(60)
		g := random(rng, n, rng.IntN(2*n))
		d := g.number()
		boxes := make([]box, n)
		for i := range boxes {
			boxes[i] = boxOf(g.Nodes[i])
		}
		for _, across := range []bool{false, true} {
			c := d.spread(boxes, across)
			width, height := c.size()
			for i := range n {
				x, y := c.at(i)
				if x-boxes[i].w/2 < margin-1e-6 || x+boxes[i].w/2 > width-margin+1e-6 || y-boxes[i].h/2 < margin-1e-6 || y+boxes[i].h/2 > height-margin+1e-6 {
					t.Errorf("seed %d: box %d at %v, %v is outside of %v, %v", s, i, x, y, width, height)
				}
				for j := range i {
					ox, oy := c.at(j)
					if math.Abs(x-ox) < (boxes[i].w+boxes[j].w)/2 && math.Abs(y-oy) < (boxes[i].h+boxes[j].h)/2 {
						t.Errorf("seed %d: boxes %d and %d overlap", s, i, j)
					}
				}
			}
		}
	}
}

// Edges point down but for those that close cycles, the items of a layer do not
// overlap, and the crossings are those that counting finds.
func TestLayout(t *testing.T) {
	for s := range uint64(60) {
		rng := seed.Stream(s, 0)
		n := 1 + rng.IntN(14)
		d := random(rng, n, rng.IntN(3*n)).number()
		widths := make([]float64, n)
		for i := range widths {
			widths[i] = 40 + 100*rng.Float64()
		}
		l := d.layout(widths)
		for e := range d.edges {
			if a, b := l.ends(d, e); a != b && l.layer[a] >= l.layer[b] {
				t.Fatalf("seed %d: edge %d from layer %d to %d", s, e, l.layer[a], l.layer[b])
			}
		}
		place := make([]int, len(l.layer))
		for _, layer := range l.layers {
			for i, item := range layer {
				place[item] = i
				if i == 0 {
					continue
				}
				if before := layer[i-1]; l.x[item]-l.x[before] < (l.w[item]+l.w[before])/2+gapX-1e-6 {
					t.Fatalf("seed %d: items %d and %d overlap", s, before, item)
				}
			}
		}
		crossed := 0
		for i := range l.layers {
			var pairs [][2]int
			for _, a := range l.layers[i] {
				for _, b := range l.down[a] {
					pairs = append(pairs, [2]int{place[a], place[b]})
				}
			}
			for i, p := range pairs {
				for _, q := range pairs[:i] {
					if (p[0]-q[0])*(p[1]-q[1]) < 0 {
						crossed++
					}
				}
			}
		}
		if got := l.crossings(place); got != crossed {
			t.Fatalf("seed %d: %d crossings, want %d", s, got, crossed)
		}
	}
}

func TestTreeHasNoCrossings(t *testing.T) {
	var g Graph
	for i := range 60 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: "n"})
	}
	for i := 1; i < 60; i++ { // children far apart in the order of the nodes
		g.Edges = append(g.Edges, Edge{From: fmt.Sprint((i - 1) / 2), To: fmt.Sprint(i)})
	}
	slices.Reverse(g.Edges)
	d := g.number()
	l := d.layout(make([]float64, 60))
	place := make([]int, len(l.layer))
	for _, layer := range l.layers {
		for i, item := range layer {
			place[item] = i
		}
	}
	if got := l.crossings(place); got != 0 {
		t.Errorf("%d crossings in a tree", got)
	}
}

func FuzzDraw(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, s uint64) {
		g := random(seed.Stream(s, 0), 3, 4)
		g.Nodes[1].Label, g.Edges[2].Label = text, text
		g.Nodes[2].Attrs = map[string]string{text: text}
		svg, _, err := g.Draw(SVG, 0)
		if err != nil {
			t.Fatal(err)
		}
		if counts := elements(t, svg); counts["g"] != 3 || counts["path"] != 5 {
			t.Errorf("elements %v", counts)
		}
		mermaid, _, err := g.Draw(Mermaid, 0)
		if err != nil || strings.Count(mermaid, "\n") != 8 {
			t.Errorf("%v, %s", err, mermaid)
		}
	})
}

func BenchmarkSVG(b *testing.B) {
	g := random(seed.Stream(1, 0), MaxNodes, 4*MaxNodes)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Draw(SVG, MaxNodes); err != nil {
			b.Fatal(err)
		}
	}
}
