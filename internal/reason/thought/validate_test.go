package thought

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/forgetest"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

var validNoon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var phrases = []string{
	"x = 5 and 17*23 = 391.", "So x = 6, which is 2 + 4 = 7.", "Let y = 3/7 kg.", "Nothing to compute here.", "Then 0.1 + 0.2 = 0.30; z = $12.50.",
}

// reasoned is a chain, and the blocks it has put aside, after operations that rng
// chooses. What is refused changes nothing.
func reasoned(rng *rand.Rand, steps int) (*Chain, []Block) {
	c := &Chain{}
	var blocks []Block
	for range steps {
		blocks = reason(c, blocks, rng)
	}
	return c, blocks
}

func reason(c *Chain, blocks []Block, rng *rand.Rand) []Block {
	names := []string{"", "", "", "main", "a", "b", "c", "line"}
	name := names[rng.IntN(len(names))]
	switch op := rng.IntN(12); op {
	case 0:
		_ = c.Switch(name) // an unknown branch
	case 1:
		_, _ = c.Close(name, "reason") // or the last one
	case 2:
		_, _ = c.Merge(Join{From: name, Into: names[rng.IntN(len(names))], At: validNoon})
	default:
		d := Draft{Text: phrases[rng.IntN(len(phrases))] + fmt.Sprint(" ", rng.IntN(9)), Branch: name, At: validNoon, Wire: rng.IntN(5) == 0, More: rng.IntN(2) == 0}
		d.Found = claim.Scan(d.Text)
		n := 1 + rng.IntN(c.Len()+1)
		switch op {
		case 3:
			d.Revises = n
		case 4:
			d.From = n
		case 5:
			d.Number = n
		case 6:
			d.Reaffirms = []int{n, n, 1}
		case 7:
			d.Number, d.Total = 1, 1+rng.IntN(40)
		case 8:
			d.Confidence = new(rng.Float64())
		}
		_, _ = c.Add(d)
	}
	if b, ok := c.Sealable(); ok {
		if b.Number == len(blocks) {
			blocks = append(blocks, b)
		}
		if rng.IntN(3) > 0 { // else the texts are kept twice for a while
			c.Seal(b.Number)
		}
	}
	return blocks
}

func reread[T any](t testing.TB, v *T) *T {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	twin := new(T)
	if err := json.Unmarshal(b, twin); err != nil {
		t.Fatal(err)
	}
	return twin
}

func TestValidateAcceptsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
		c, blocks := reasoned(rng, rapid.IntRange(0, 200).Draw(r, "steps"))
		if err := reread(t, c).Validate(); err != nil {
			r.Fatalf("%v in %+v", err, c)
		}
		for i := range blocks {
			if err := reread(t, &blocks[i]).Validate(); err != nil {
				r.Fatal(err)
			}
		}
		if err := c.ValidateTexts(blocks); err != nil {
			r.Fatal(err)
		}
	})
}

// The largest chain, with deep branches that go on after their ancestors changed,
// is checked in bearable time.
func TestValidateLargest(t *testing.T) {
	c := &Chain{}
	add := func(d Draft) {
		d.Text, d.At, d.More = "t", validNoon, true
		if _, err := c.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		add(Draft{Number: i + 1})
	}
	for i := range MaxBranches - 1 {
		add(Draft{From: c.View(c.Active).Next - 1, Branch: fmt.Sprintf("%064d", i)})
	}
	deep := c.Active
	for c.Len() < MaxThoughts-1 {
		add(Draft{Branch: Trunk, Revises: 1})
		add(Draft{Branch: deep})
	}
	began := time.Now()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d := time.Since(began)
	t.Logf("%d thoughts on %d branches: %v", c.Len(), len(c.Branches), d)
	if d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

// sealAgain makes every hash right, as somebody can who forges a chain.
func sealAgain(c *Chain) {
	c.Head = ""
	for i := range c.Thoughts {
		if i >= c.Sealed {
			c.Thoughts[i].Size = len(c.Thoughts[i].Text)
			c.Thoughts[i].Hash = c.hash(&c.Thoughts[i])
		}
		c.Head = link(c.Head, c.Thoughts[i].Hash)
	}
}

// sampleChain has six thoughts: 1, 2, a revision of 2, a branch after 1 with one
// thought that is merged into main, and the thought that merges it.
func sampleChain(t testing.TB) *Chain {
	t.Helper()
	c := &Chain{}
	for _, d := range []Draft{{}, {}, {Revises: 2}, {From: 1, Branch: "side"}, {Branch: "main", Confidence: new(.5), Reaffirms: []int{1}}} {
		d.Text, d.At = "x = 5", validNoon
		d.Found = claim.Scan(d.Text)
		if _, err := c.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Merge(Join{From: "side", At: validNoon}); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestValidateRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		forge func(*Chain)
		want  string
	}{
		"text":                  {func(c *Chain) { c.Thoughts[0].Text = "x = 6" }, "thoughts[0].hash"},
		"a record moved":        {func(c *Chain) { c.Thoughts[0], c.Thoughts[1] = c.Thoughts[1], c.Thoughts[0] }, "thoughts[0]"},
		"a record removed":      {func(c *Chain) { c.Thoughts = c.Thoughts[:5] }, ""},
		"head":                  {func(c *Chain) { c.Head = "" }, "head"},
		"too many":              {func(c *Chain) { c.Thoughts = make([]Thought, MaxThoughts+1) }, "thoughts: 1001"},
		"too many branches":     {func(c *Chain) { c.Branches = make([]Branch, MaxBranches+1) }, "branches: 65"},
		"branches of nothing":   {func(c *Chain) { c.Thoughts = nil }, "thoughts: none"},
		"sealed without texts":  {func(c *Chain) { c.Sealed = BlockSize }, "sealed"},
		"sealed below 0":        {func(c *Chain) { c.Sealed = -BlockSize }, "sealed"},
		"a branch twice":        {func(c *Chain) { c.Branches[1].Name = "main" }, "branches[1].name"},
		"a branch without name": {func(c *Chain) { c.Branches[1].Name = "" }, "branches[1].name"},
		"a circle of branches":  {func(c *Chain) { c.Branches[0].Parent = "side"; c.Branches[0].Fork = 1; c.Branches[0].From = 1 }, "branches[0].parent"},
		"a branch of itself":    {func(c *Chain) { c.Branches[1].Parent = "side" }, "branches[1].parent"},
		"merged into itself":    {func(c *Chain) { c.Branches[1].Into = "side" }, "branches[1].into"},
		"merged nowhere":        {func(c *Chain) { c.Branches[1].Into = "nowhere" }, "branches[1].into"},
		"merged into nothing":   {func(c *Chain) { c.Branches[1].Into = "" }, "branches[1].into"},
		"a state":               {func(c *Chain) { c.Branches[1].State = "lost" }, "branches[1].state"},
		"a reason":              {func(c *Chain) { c.Branches[0].Reason = "because" }, "branches[0].reason"},
		"a fork ahead":          {func(c *Chain) { c.Branches[1].Fork = 5 }, "thoughts[3]"},
		"a fork elsewhere":      {func(c *Chain) { c.Branches[1].From = 2 }, "thoughts[3]"},
		"an open branch again":  {func(c *Chain) { c.Branches[1].State, c.Branches[1].Into = Open, "" }, "thoughts[5].merged"},
		"an empty branch":       {func(c *Chain) { c.Branches = append(c.Branches, Branch{Name: "empty", State: Open}) }, "branches[2]"},
		"an id":                 {func(c *Chain) { c.Thoughts[2].ID = 7 }, "thoughts[2]"},
		"a number":              {func(c *Chain) { c.Thoughts[4].Number = 1 << 60; c.Thoughts[4].Total = 1 << 61 }, "thoughts[4].total"},
		"a number in between":   {func(c *Chain) { c.Thoughts[4].Number = 2 }, "thoughts[4].number"},
		"a parent":              {func(c *Chain) { c.Thoughts[4].Parent = 1 }, "thoughts[4].parent"},
		"a parent ahead":        {func(c *Chain) { c.Thoughts[0].Parent = 4 }, "thoughts[0]"},
		"a slot":                {func(c *Chain) { c.Thoughts[2].Slot = 0 }, "thoughts[2].revises"},
		"a revision":            {func(c *Chain) { c.Thoughts[2].Revises = 1 }, "thoughts[2].revises"},
		"a slot elsewhere":      {func(c *Chain) { c.Thoughts[4].Slot, c.Thoughts[4].Revises = 4, 4 }, "thoughts[4].slot"},
		"a merge":               {func(c *Chain) { c.Thoughts[5].Merged = 1 }, "thoughts[5].merged"},
		"affirmed elsewhere":    {func(c *Chain) { c.Thoughts[4].Reaffirms = []int{4} }, "thoughts[4].reaffirms[0]"},
		"affirmed twice":        {func(c *Chain) { c.Thoughts[4].Reaffirms = []int{1, 1} }, "thoughts[4].reaffirms[1]"},
		"no branch":             {func(c *Chain) { c.Thoughts[4].Branch = "none" }, "thoughts[4]"},
		"confidence":            {func(c *Chain) { c.Thoughts[4].Confidence = new(1.5) }, "thoughts[4].confidence"},
		"no text":               {func(c *Chain) { c.Thoughts[0].Text = "" }, "thoughts[0].text"},
		"created":               {func(c *Chain) { c.Thoughts[0].Created = 1 << 62 }, "thoughts[0].created"},
		"verified":              {func(c *Chain) { c.Thoughts[0].Verified = 1 << 40 }, "thoughts[0].verified"},
		"a total":               {func(c *Chain) { c.Total = 1000 }, "total"},
		"a stated total":        {func(c *Chain) { c.Stated = 1000 }, "stated"},
		"active":                {func(c *Chain) { c.Active = "side" }, "active"},
		"line":                  {func(c *Chain) { c.Line = "side" }, "line"},
		"a value without end":   {func(c *Chain) { c.Thoughts[0].Bindings[0].Value = "1e999999" }, "thoughts[0].bindings[0].value"},
		"a value over 0":        {func(c *Chain) { c.Thoughts[0].Bindings[0].Value = "1/0" }, "thoughts[0].bindings[0].value"},
		"places without end":    {func(c *Chain) { c.Thoughts[0].Bindings[0].Places = 1 << 40 }, "thoughts[0].bindings[0].places"},
		"a name without end":    {func(c *Chain) { c.Thoughts[0].Bindings[0].Name = strings.Repeat("x", 99) }, "thoughts[0].bindings[0].name"},
		"a unit without end":    {func(c *Chain) { c.Thoughts[0].Bindings[0].Unit = strings.Repeat("x", 99) }, "thoughts[0].bindings[0]"},
	} {
		c := sampleChain(t)
		tt.forge(c)
		if name != "text" && name != "head" && name != "a record moved" && name != "too many" && name != "too many branches" {
			sealAgain(c)
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func TestValidateTexts(t *testing.T) {
	c, blocks := &Chain{}, []Block(nil)
	for i := range 3*BlockSize + keepTexts {
		if _, err := c.Add(Draft{Text: fmt.Sprint("thought ", i), At: validNoon}); err != nil {
			t.Fatal(err)
		}
		if b, ok := c.Sealable(); ok {
			blocks = append(blocks, b)
			if b.Number < 2 {
				c.Seal(b.Number)
			}
		}
	}
	if c.Sealed != 2*BlockSize || len(blocks) != 3 {
		t.Fatalf("%d sealed, %d blocks", c.Sealed, len(blocks))
	}
	for name, tt := range map[string]struct {
		blocks []Block
		want   string
	}{
		"all":            {blocks[:2], ""},
		"the next, too":  {blocks, ""},
		"none":           {nil, "block 0 of the texts is missing"},
		"one missing":    {blocks[1:], "block 0 of the texts is missing"},
		"one twice":      {[]Block{blocks[0], blocks[0], blocks[1]}, "block 0 of the texts is there twice"},
		"of nothing":     {append(blocks[:2:2], Block{Number: 3, Texts: blocks[0].Texts}), "block 3"},
		"another text":   {[]Block{{Number: 0, Texts: blocks[1].Texts}, blocks[1]}, "thoughts[0].hash"},
		"another ahead":  {append(blocks[:2:2], Block{Number: 2, Texts: blocks[0].Texts}), "thoughts[64].text"},
		"in other order": {[]Block{blocks[1], blocks[0]}, ""},
	} {
		err := c.ValidateTexts(tt.blocks)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for want, b := range map[string]Block{
		"number": {Number: -1, Texts: blocks[0].Texts}, "number: 40": {Number: 40, Texts: blocks[0].Texts},
		"texts: 1": {Texts: []string{"x"}}, "texts[0]": {Texts: make([]string, BlockSize)},
	} {
		if err := b.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", b.Number, err, want)
		}
	}
}

// attackChain gives a forged chain to Validate and, if it is accepted, to the
// operations. It reports whether it was.
func attackChain(t testing.TB, data []byte, seed uint64, again bool) bool {
	t.Helper()
	c := &Chain{}
	if json.Unmarshal(data, c) != nil || len(c.Thoughts) > 2*MaxThoughts {
		return false
	}
	if again && c.Sealed >= 0 {
		sealAgain(c)
	}
	if c.Validate() != nil {
		return false
	}
	began := time.Now()
	rng := rand.New(rand.NewPCG(seed, 3))
	for range 12 {
		reason(c, nil, rng)
	}
	lines := c.Lines()
	for _, l := range lines {
		v := c.View(l.Name)
		for _, s := range v.Slots {
			for _, k := range c.Compare(v, s.ID) {
				if _, err := json.Marshal(k); err != nil {
					t.Fatal(err)
				}
			}
			c.Drift(v, s.ID)
		}
	}
	if err := reread(t, c).Validate(); err != nil {
		t.Fatalf("after operations: %v in %s", err, data)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Fatalf("operations took %v on %.200s", d, data)
	}
	return true
}

func TestForgedChains(t *testing.T) {
	const forged = 1500
	accepted := 0
	for seed := range uint64(forged) {
		rng := rand.New(rand.NewPCG(seed%100, 1))
		c, _ := reasoned(rng, 5+rng.IntN(70))
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if attackChain(t, forgetest.Mutate(rand.New(rand.NewPCG(seed, 2)), data, 3), seed, seed%4 > 0) {
			accepted++
		}
	}
	t.Logf("%d of %d forged chains accepted, and then in order", accepted, forged)
	if accepted == 0 || accepted > forged/2 {
		t.Errorf("%d of %d forged chains accepted: the test does not reach far", accepted, forged)
	}
}

func FuzzChain(f *testing.F) {
	for seed := range uint64(8) {
		c, _ := reasoned(rand.New(rand.NewPCG(seed, 1)), 10+int(seed)*10)
		data, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, seed)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 1<<20 {
			return
		}
		attackChain(t, data, seed, false)
		attackChain(t, data, seed, true)
		attackChain(t, forgetest.Mutate(rand.New(rand.NewPCG(seed, 7)), data, 2), seed, true)
	})
}

// FuzzBlock gives a forged block to a chain that has put one aside.
func FuzzBlock(f *testing.F) {
	c, blocks := reasoned(rand.New(rand.NewPCG(4, 1)), 300)
	if c.Sealed == 0 {
		f.Fatal("nothing is sealed")
	}
	good, err := json.Marshal(blocks[0])
	if err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(8) {
		f.Add(good, seed)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 1<<20 {
			return
		}
		for _, data := range [][]byte{data, forgetest.Mutate(rand.New(rand.NewPCG(seed, 7)), data, 2)} {
			var b Block
			if json.Unmarshal(data, &b) != nil || b.Validate() != nil {
				continue
			}
			if c.ValidateTexts(append([]Block{b}, blocks[1:]...)) != nil {
				continue
			}
			whole := reread(t, c)
			for _, b := range append([]Block{b}, blocks[1:]...) {
				if b.Number < whole.Sealed/BlockSize {
					if err := whole.Restore(b); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := whole.Verify(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
