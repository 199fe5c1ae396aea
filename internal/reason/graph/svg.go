package graph

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	fontSize   = 13.0
	lineHeight = 17.0
	charWidth  = 7.6 // of a fixed-width font at fontSize
	margin     = 12.0
	wrapAt     = 32 // characters of a line in a box
	boxPad     = 10.0
	labelWidth = 6.6 // of a character of an edge's label

	stroke = "#444455"
	ink    = "#111122"
)

// box is the text of a node in lines, and its size.
type box struct {
	lines []string
	w, h  float64
}

// canvas is where the parts of a drawing lie. Layers go down, or to the right
// when there would be too much beside each other.
type canvas struct {
	d      *drawing
	l      *layout
	boxes  []box
	across bool
	from   []float64 // where each layer begins, in the direction of the layers
	deep   []float64 // and how much room it takes
}

// A drawing whose layers go down may be this wide; a wider one only in this
// proportion to its height.
const (
	widePixels = 1600.0
	wideRatio  = 2.5
)

// svg draws the graph as a self-contained document: no script, no font, no link.
func (d *drawing) svg(note string) string {
	boxes := make([]box, len(d.nodes))
	for i, n := range d.nodes {
		boxes[i] = boxOf(n)
	}
	c := d.spread(boxes, false)
	width, height := c.size()
	if width > max(widePixels, wideRatio*height) {
		if other := d.spread(boxes, true); len(c.l.layers) > 1 {
			c = other
			width, height = c.size()
		}
	}
	if note != "" {
		height += lineHeight + margin
		width = max(width, float64(utf8.RuneCountInString(note))*charWidth+2*margin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="monospace" font-size="%.0f">`+"\n", width, height, width, height, fontSize)
	fmt.Fprintf(&b, "<title>graph of %d nodes and %d edges</title>\n", len(d.nodes), len(d.edges))
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="` + stroke + `"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="#fff"/>`+"\n", width, height)
	for i := range d.edges {
		c.path(&b, i)
	}
	for i := range d.edges { // over all lines
		c.label(&b, i)
	}
	for i, n := range d.nodes {
		x, y := c.at(i)
		drawBox(&b, n, boxes[i], x, y)
	}
	if note != "" {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="#666">%s</text>`+"\n", margin, height-margin, xmlText(note))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// spread lays the graph out.
func (d *drawing) spread(boxes []box, across bool) *canvas {
	c := &canvas{d: d, boxes: boxes, across: across}
	beside := make([]float64, len(boxes))
	for i := range boxes {
		beside[i], _ = c.extent(i)
	}
	c.l = d.layout(beside)
	c.from, c.deep = make([]float64, len(c.l.layers)), make([]float64, len(c.l.layers))
	for i := range boxes {
		_, deep := c.extent(i)
		c.deep[c.l.layer[i]] = max(c.deep[c.l.layer[i]], deep)
	}
	gap := gapY
	if across { // labels of edges lie along it
		gap += gapX
		for _, e := range d.edges {
			gap = max(gap, min(float64(columns(line(e.edge.Label)))*labelWidth+gapX, 4*gapY))
		}
	}
	at := margin
	for i := range c.from {
		c.from[i] = at
		at += c.deep[i] + gap
	}
	return c
}

// extent returns the size of a box beside others of its layer, and in the
// direction of the layers.
func (c *canvas) extent(i int) (beside, deep float64) {
	if c.across {
		return c.boxes[i].h, c.boxes[i].w
	}
	return c.boxes[i].w, c.boxes[i].h
}

// turn returns a place as x and y.
func (c *canvas) turn(beside, deep float64) (x, y float64) {
	if c.across {
		return deep, beside
	}
	return beside, deep
}

// at returns the centre of an item.
func (c *canvas) at(item int) (x, y float64) {
	layer := c.l.layer[item]
	return c.turn(margin+c.l.x[item], c.from[layer]+c.deep[layer]/2)
}

// size returns the width and the height.
func (c *canvas) size() (float64, float64) {
	beside, deep := 2*margin, 2*margin
	for i := range c.l.x {
		beside = max(beside, c.l.x[i]+c.l.w[i]/2+2*margin)
	}
	for _, e := range c.d.edges {
		if e.from == e.to { // the line leaves the box
			beside = max(beside, c.l.x[e.from]+c.l.w[e.from]/2+2*margin+loopRoom)
		}
	}
	if n := len(c.from); n > 0 {
		deep = c.from[n-1] + c.deep[n-1] + margin
	}
	return c.turn(beside, deep)
}

const loopRoom = 14.0

func (c *canvas) path(b *strings.Builder, i int) {
	e, l := c.d.edges[i], c.l
	dash := ""
	if contrary(e.edge.Kind) {
		dash = ` stroke-dasharray="5 4"`
	}
	var p strings.Builder
	if len(l.chain[i]) == 0 { // from a node to itself
		x, y := c.at(e.from)
		if c.across {
			fmt.Fprintf(&p, "M%.1f %.1fc-12 16 16 16 8 0", x-4, y+c.boxes[e.from].h/2)
		} else {
			fmt.Fprintf(&p, "M%.1f %.1fc16 -12 16 16 0 8", x+c.boxes[e.from].w/2, y-4)
		}
	}
	for k, item := range l.chain[i] {
		// A line goes straight through a layer and changes its place between two.
		deep, layer := 0.0, l.layer[item]
		first, last := c.from[layer], c.from[layer]+c.deep[layer]
		if k == 0 || k == len(l.chain[i])-1 {
			_, deep = c.extent(item)
			first, last = (first+last-deep)/2, (first+last+deep)/2
		}
		beside := margin + l.x[item]
		if k > 0 {
			x, y := c.turn(beside, first)
			fmt.Fprintf(&p, "L%.1f %.1f", x, y)
		}
		if k < len(l.chain[i])-1 {
			op := "L"
			if k == 0 {
				op = "M"
			}
			x, y := c.turn(beside, last)
			fmt.Fprintf(&p, "%s%.1f %.1f", op, x, y)
		}
	}
	end := "marker-end"
	if l.turned[i] && len(l.chain[i]) > 0 {
		end = "marker-start"
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s"%s %s="url(#a)"/>`+"\n", p.String(), stroke, dash, end)
}

// label writes what an edge is called beside the middle of its line, in the gap
// between two layers.
func (c *canvas) label(b *strings.Builder, i int) {
	text := line(c.d.edges[i].edge.Label)
	if text == "" {
		return
	}
	var x, y float64
	if chain := c.l.chain[i]; len(chain) == 0 {
		x, y = c.at(c.d.edges[i].from)
		y -= c.boxes[c.d.edges[i].from].h/2 + 7
	} else {
		k := len(chain) / 2
		before, after := chain[k-1], chain[k]
		up, down := c.l.layer[before], c.l.layer[after]
		// Nearer to where the lines are further apart.
		share := 0.5
		if out, in := len(c.l.down[before]), len(c.l.up[after]); out > in {
			share = 0.65
		} else if in > out {
			share = 0.35
		}
		from, to := c.from[up]+c.deep[up], c.from[down]
		x, y = c.turn(margin+c.l.x[before]+share*(c.l.x[after]-c.l.x[before]), from+share*(to-from))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="%s" font-size="11" stroke="#fff" stroke-width="4" paint-order="stroke">%s</text>`+"\n", x, y+4, stroke, xmlText(text))
}

func boxOf(n Node) box {
	var o box
	for _, text := range n.lines() {
		o.lines = append(o.lines, wrap(text)...)
	}
	most := 4
	for _, text := range o.lines {
		most = max(most, columns(text))
	}
	o.w = float64(most)*charWidth + 2*boxPad
	o.h = float64(len(o.lines))*lineHeight + boxPad
	return o
}

func drawBox(b *strings.Builder, n Node, o box, x, y float64) {
	fill, ok := fills[n.Kind]
	if !ok {
		fill = "#f4f6fb"
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5" fill="%s" stroke="%s"/>`, xmlText(line(n.Label)), x-o.w/2, y-o.h/2, o.w, o.h, fill, stroke)
	for i, text := range o.lines {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="%s">%s</text>`, x, y-o.h/2+boxPad/2+float64(i+1)*lineHeight-4, ink, xmlText(text))
	}
	b.WriteString("</g>\n")
}

// fills are the colours of the kinds of node that searches have.
var fills = map[string]string{
	"root": "#e3ecff", "solution": "#dff5e1", "completed": "#dff5e1", "active": "#fff6d6",
	"pruned": "#eeeeee", "merged": "#eeeeee", "stalled": "#fbe4e1", "dead": "#fbe4e1",
}

// wrap breaks a line at spaces where it can, and words that are too long for a
// line.
func wrap(text string) []string {
	var out []string
	now, used := "", 0
	for word := range strings.SplitSeq(text, " ") {
		if w := columns(word); used > 0 && used+1+w <= wrapAt {
			now, used = now+" "+word, used+1+w
			continue
		}
		if used > 0 {
			out, used = append(out, now), 0
		}
		from := 0
		for i, r := range word {
			w := column(r)
			if used+w > wrapAt {
				out, from, used = append(out, word[from:i]), i, 0
			}
			used += w
		}
		now = word[from:]
	}
	if used > 0 || len(out) == 0 {
		out = append(out, now)
	}
	return out
}

func columns(text string) (n int) {
	for _, r := range text {
		n += column(r)
	}
	return n
}

// column is how many columns a character takes: 2 for the scripts of East Asia
// and for pictures.
func column(r rune) int {
	if r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x3ffff {
		return 2
	}
	return 1
}

func xmlText(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}
