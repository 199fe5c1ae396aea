package work

import (
	"fmt"
	"html"
	"math"
	"strings"
	"testing"
	"time"
)

// result is a scenario played both ways.
type result struct {
	scenario
	fair, fifo *outcome
}

const (
	tableBegin = "<!-- simulated: begin -->\n"
	tableEnd   = "<!-- simulated: end -->\n"
)

// splice returns page with table between its markers.
func splice(t *testing.T, page, table string) string {
	t.Helper()
	head, rest, ok := strings.Cut(page, tableBegin)
	_, tail, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		t.Fatal("the page has no markers for the table")
	}
	return head + tableBegin + table + tableEnd + tail
}

// brief writes a duration with three significant digits in milliseconds.
func brief(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// table writes the results for the page.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| scenario | who | calls | wait p50 | wait p99 | longest without a turn | share | FIFO wait p50 | FIFO wait p99 | FIFO share |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range results {
		for i, who := range r.show {
			name := ""
			if i == 0 {
				name = r.name
			}
			fair, fifo := r.fair.rows[who], r.fifo.rows[who]
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %.3f | %s | %s | %.3f |\n", name, who, fair.calls,
				brief(fair.p50), brief(fair.p99), brief(fair.gap), fair.share, brief(fifo.p50), brief(fifo.p99), fifo.share)
		}
	}
	b.WriteString("\n")
	for _, r := range results {
		fmt.Fprintf(&b, "- **%s**: %s.", r.name, r.what)
		if r.jain {
			fmt.Fprintf(&b, " Jain's index of the shares: %.4f, FIFO %.4f.", r.fair.jain, r.fifo.jain)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The chart's measures, in pixels.
const (
	chartWidth = 760
	chartLeft  = 190 // of the axis
	chartRight = 30
	rowHeight  = 44
	chartTop   = 74
	axisLeast  = 10 * time.Microsecond
	axisMost   = 100 * time.Second
)

// across returns where a wait lies on the logarithmic axis.
func across(d time.Duration) float64 {
	d = min(max(d, axisLeast), axisMost)
	part := math.Log10(float64(d)/float64(axisLeast)) / math.Log10(float64(axisMost)/float64(axisLeast))
	return chartLeft + part*(chartWidth-chartLeft-chartRight)
}

// chart draws the 99th percentile of the waits of whom each scenario is about,
// with our policy and first come first served.
func chart(results []result) string {
	height := chartTop + rowHeight*len(results) + 40
	bottom := height - 36
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">
<title id="title">Waits for the first turn, 99th percentile, fair against first come first served</title>
<style>
svg { font: 13px system-ui, sans-serif; color: #1f2328; background: #ffffff }
text { fill: currentColor }
.grid { stroke: currentColor; opacity: .18 }
.fair { fill: #1a7f37 }
.fifo { fill: #9a6700 }
@media (prefers-color-scheme: dark) {
svg { color: #e6edf3; background: #0d1117 }
.fair { fill: #3fb950 }
.fifo { fill: #d29922 }
}
</style>
`, chartWidth, height)
	b.WriteString(`<text x="16" y="24" font-weight="600">Wait for the first turn, 99th percentile, of whom the scenario is about</text>` + "\n")
	fmt.Fprintf(&b, `<rect class="fair" x="16" y="38" width="12" height="12"/><text x="34" y="49">fair turns</text>`+"\n")
	fmt.Fprintf(&b, `<rect class="fifo" x="130" y="38" width="12" height="12"/><text x="148" y="49">first come first served</text>`+"\n")
	for d := axisLeast; d <= axisMost; d *= 10 {
		x := across(d)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, chartTop-8, x, bottom, x, bottom+18, mark(d))
	}
	for i, r := range results {
		who := r.show[0]
		y := chartTop + rowHeight*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartLeft-12, y+22, html.EscapeString(r.name))
		bar(&b, "fair", y, r.fair.rows[who].p99)
		bar(&b, "fifo", y+17, r.fifo.rows[who].p99)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// mark writes a power of ten of the axis.
func mark(d time.Duration) string {
	if d < time.Second {
		return d.String()
	}
	return fmt.Sprintf("%gs", d.Seconds())
}

// bar draws one bar with its value, inside where it would leave the picture.
func bar(b *strings.Builder, class string, y int, d time.Duration) {
	end := across(d)
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="14"/>`, class, chartLeft, y, max(1, end-chartLeft))
	fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="11">%s ms</text>`+"\n", end+5, y+11, brief(d))
}
