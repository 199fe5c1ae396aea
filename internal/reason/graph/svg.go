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
)

// box is the text of a node in lines, and its size.
type box struct {
	lines []string
	w, h  float64
}

// svg draws the graph as a self-contained document: no script, no font, no link.
func (d *drawing) svg(note string) string {
	boxes := make([]box, len(d.nodes))
	widths := make([]float64, len(d.nodes))
	tall := 0.0
	for i, n := range d.nodes {
		boxes[i] = boxOf(n)
		widths[i] = boxes[i].w
		tall = max(tall, boxes[i].h)
	}
	l := d.layout(widths)
	pitch := tall + gapY
	y := func(item int) float64 { return margin + float64(l.layer[item])*pitch + tall/2 }
	width, height := 2*margin, 2*margin
	for i := range l.x {
		width = max(width, l.x[i]+l.w[i]/2+2*margin)
	}
	if len(l.layers) > 0 {
		height = 2*margin + float64(len(l.layers)-1)*pitch + tall
	}
	if note != "" {
		height += lineHeight + margin
		width = max(width, float64(utf8.RuneCountInString(note))*charWidth+2*margin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="monospace" font-size="%.0f">`+"\n", width, height, width, height, fontSize)
	fmt.Fprintf(&b, "<title>graph of %d nodes and %d edges</title>\n", len(d.nodes), len(d.edges))
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#445"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="#fff"/>`+"\n", width, height)
	for i := range d.edges {
		d.path(&b, l, boxes, y, i)
	}
	for i, n := range d.nodes {
		drawBox(&b, n, boxes[i], margin+l.x[i], y(i))
	}
	if note != "" {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="#666">%s</text>`+"\n", margin, height-margin, xmlText(note))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (d *drawing) path(b *strings.Builder, l *layout, boxes []box, y func(int) float64, i int) {
	e := d.edges[i]
	dash := ""
	if contrary(e.edge.Kind) {
		dash = ` stroke-dasharray="5 4"`
	}
	var p strings.Builder
	var midX, midY float64
	if len(l.chain[i]) == 0 { // from a node to itself
		right, at := margin+l.x[e.from]+boxes[e.from].w/2, y(e.from)
		fmt.Fprintf(&p, "M%.1f %.1fc16 -12 16 16 0 8", right, at-4)
		midX, midY = right, at-10
	} else {
		chain := l.chain[i]
		top, bottom := chain[0], chain[len(chain)-1]
		for k, item := range chain {
			px, py := margin+l.x[item], y(item)
			switch item {
			case top:
				py += boxes[item].h / 2
			case bottom:
				py -= boxes[item].h / 2
			}
			op := "L"
			if k == 0 {
				op = "M"
			}
			fmt.Fprintf(&p, "%s%.1f %.1f", op, px, py)
			if k == len(chain)/2 {
				before := chain[k-1]
				midX, midY = (px+margin+l.x[before])/2, (y(item)+y(before))/2
			}
		}
	}
	end := "marker-end"
	if l.turned[i] && len(l.chain[i]) > 0 {
		end = "marker-start"
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="#445"%s %s="url(#a)"/>`+"\n", p.String(), dash, end)
	if text := line(e.edge.Label); text != "" {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#445" font-size="11">%s</text>`+"\n", midX, midY, xmlText(text))
	}
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
	fmt.Fprintf(b, `<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5" fill="%s" stroke="#445"/>`, xmlText(line(n.Label)), x-o.w/2, y-o.h/2, o.w, o.h, fill)
	for i, text := range o.lines {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#112">%s</text>`, x, y-o.h/2+boxPad/2+float64(i+1)*lineHeight-4, xmlText(text))
	}
	b.WriteString("</g>\n")
}

// fills are the colours of the kinds of node that searches have.
var fills = map[string]string{
	"root": "#e3ecff", "solution": "#dff5e1", "completed": "#dff5e1", "active": "#fff6d6",
	"pruned": "#eeeeee", "merged": "#eeeeee", "stalled": "#fbe4e1", "dead": "#fbe4e1",
}

// wrap breaks a line at spaces where it can.
func wrap(text string) []string {
	var out []string
	var now strings.Builder
	used := 0
	for word := range strings.SplitSeq(text, " ") {
		for _, r := range word {
			w := column(r)
			if used+w > wrapAt && !strings.ContainsRune(now.String(), ' ') || w+used > wrapAt+8 {
				out, used = append(out, now.String()), 0
				now.Reset()
			}
			now.WriteRune(r)
			used += w
		}
		if used >= wrapAt-6 {
			out, used = append(out, now.String()), 0
			now.Reset()
		} else {
			now.WriteByte(' ')
			used++
		}
	}
	if rest := strings.TrimSpace(now.String()); rest != "" || len(out) == 0 {
		out = append(out, rest)
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
