package load

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Print writes the report for a person to read.
func (r *Report) Print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  tool %s  revision %s  seed %d\n", r.Target.URL, r.Target.Tool, r.Target.Revision, r.Settings.Seed)
	for i := range r.Phases {
		r.Phases[i].print(&b)
	}
	if f := r.Fairness; f != nil {
		fmt.Fprintf(&b, "\n%s beside the others, against alone: p50 %s, p99 %s, rate %s; its share of good answers %s (an even one is %s)\n",
			f.Quiet, times(f.P50Ratio), times(f.P99Ratio), times(f.GoodputRatio), number(f.Share), number(&f.EvenShare))
	}
	if len(r.Checks) > 0 {
		b.WriteByte('\n')
	}
	for _, c := range r.Checks {
		verdict := "FAILED"
		if c.OK {
			verdict = "passed"
		}
		got := "not known"
		if c.Got != nil {
			got = number(c.Got)
		}
		fmt.Fprintf(&b, "%s: %s of %s is %s, the limit is %s\n", verdict, c.What, c.Group, got, number(&c.Limit))
	}
	if r.EndedBy != endedByTime {
		fmt.Fprintf(&b, "\nthe run ended early: %s\n", r.EndedBy)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *Phase) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n%s: measured for %.3g s; latencies in ms, from when a call was due\n\n", p.Name, p.MeasuredS)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }
	row("group", "conns", "rate", "good", "good/s", "errors", "unsent", "late", "p50", "p90", "p99", "p99.9", "max")
	results := p.Groups
	if len(results) > 1 {
		results = append(slices.Clone(results), p.Total)
	}
	for _, g := range results {
		rate := "closed"
		if g.Rate > 0 {
			rate = strconv.FormatFloat(g.Rate, 'g', 6, 64)
		}
		row(slices.Concat([]string{g.Name, strconv.Itoa(g.Connections), rate}, counts(&g), quantiles(&g.Latency))...)
		if len(g.Calls) < 2 {
			continue
		}
		for _, c := range g.Calls {
			row(slices.Concat([]string{g.Name + "/" + c.Name, "", "", strconv.FormatUint(c.Latency.Count, 10), "", "", "", ""}, quantiles(&c.Latency))...)
		}
	}
	_ = t.Flush() // into memory
	for _, g := range p.Groups {
		g.troubles(b)
	}
	for _, j := range p.Jain {
		fmt.Fprintf(b, "\nJain's index of %s: %s\n", strings.Join(j.Groups, ", "), number(j.Index))
	}
}

func counts(g *Result) []string {
	return []string{
		strconv.FormatUint(g.Latency.Count, 10), number(g.Goodput), percent(g.Errors),
		strconv.FormatUint(g.Outcomes[outcomeNames[unsent]], 10), strconv.FormatUint(g.Late, 10),
	}
}

func quantiles(l *Latency) []string {
	longest := number(l.Max)
	if l.Beyond > 0 {
		longest = "-"
	}
	return []string{number(l.P50), number(l.P90), number(l.P99), number(l.P999), longest}
}

// troubles lists what did not go well in a group, and what else there is to
// know.
func (g *Result) troubles(b *bytes.Buffer) {
	var lines []string
	for o := toolError; o < outcomes; o++ {
		name := outcomeNames[o]
		n := g.Outcomes[name]
		if n == 0 {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %d", name, n)+g.refusals(name)+said(g.Texts[name]))
	}
	if g.ProgressEvents > 0 {
		lines = append(lines, fmt.Sprintf("progress events %d", g.ProgressEvents))
	}
	if g.Retries > 0 {
		lines = append(lines, fmt.Sprintf("came back %d times", g.Retries))
	}
	// Where much of a latency is the generator's own, the reader must know.
	if lag, p99 := g.Lag.P99, g.Latency.P99; lag != nil && p99 != nil && *lag >= 1 && *lag >= *p99/10 {
		lines = append(lines, fmt.Sprintf("latencies include p99 %s ms by which the generator itself was late: its machine is busy", number(lag)))
	}
	for i, line := range lines {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s: %s\n", g.Name, line)
	}
}

// refusals tells how the outcome of that name was told to come back, if it is
// one that should have been.
func (g *Result) refusals(name string) string {
	i := slices.IndexFunc(g.Refusals, func(f Refusal) bool { return name == "http_"+strconv.Itoa(f.Status) })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf(", %d with Retry-After and %d without; answered in p50 %s, p99 %s ms",
		g.Refusals[i].RetryAfter, g.Refusals[i].MissingRetryAfter, number(g.RefusalLatency.P50), number(g.RefusalLatency.P99))
}

func said(text string) string {
	if text == "" {
		return ""
	}
	return ", the first: " + text
}

// number shows three or four digits, and a dash for what is not known.
func number(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v >= 999.5: // three digits would be 1e+03
		return strconv.FormatFloat(*v, 'f', 0, 64)
	}
	return strconv.FormatFloat(*v, 'g', 3, 64)
}

func times(v *float64) string {
	if v == nil {
		return "not known"
	}
	return "×" + number(v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return number(new(*v*100)) + "%"
}
