package thought

import "fmt"

// A chain is written anew with each thought, so the texts of older thoughts, which
// are most of it and never change, can be put aside in blocks. The caller keeps a
// block first and seals it then: whatever happens in between, no text is lost.
const (
	// BlockSize is how many thoughts in a row have their texts in one block.
	BlockSize = 32
	// keepTexts is how many of the latest texts a chain never gives away; the checks
	// look at them.
	keepTexts = 16
)

// Block is the texts of the thoughts BlockSize·Number+1 to BlockSize·(Number+1).
type Block struct {
	Number int      `json:"number"`
	Texts  []string `json:"texts"`
}

// Sealable returns the next block that can be put aside. ok is false when all that
// remains is recent.
func (c *Chain) Sealable() (b Block, ok bool) {
	end := c.Sealed + BlockSize
	if len(c.Thoughts) < end+keepTexts {
		return b, false
	}
	b.Number = c.Sealed / BlockSize
	for i := range c.Thoughts[c.Sealed:end] {
		b.Texts = append(b.Texts, c.Thoughts[c.Sealed+i].Text)
	}
	return b, true
}

// Seal drops the texts of a block that was kept elsewhere. It reports whether there
// was something to drop.
func (c *Chain) Seal(number int) bool {
	if _, ok := c.Sealable(); !ok || c.Sealed != number*BlockSize {
		return false
	}
	for i := c.Sealed; i < c.Sealed+BlockSize; i++ {
		c.Thoughts[i].Text = ""
	}
	c.Sealed += BlockSize
	return true
}

// BlockOf returns the block that holds the text of the thought with that ID. ok is
// false when the chain holds it itself.
func (c *Chain) BlockOf(id int) (number int, ok bool) {
	return (id - 1) / BlockSize, id <= c.Sealed
}

// Restore puts the texts of a block back where they belong, in a copy of the chain
// that is for reading.
func (c *Chain) Restore(b Block) error {
	first := b.Number * BlockSize
	if b.Number < 0 || first+BlockSize > c.Sealed || len(b.Texts) != BlockSize {
		return fmt.Errorf("block %d with %d texts does not belong to a chain of %d sealed thoughts", b.Number, len(b.Texts), c.Sealed)
	}
	for i, text := range b.Texts {
		c.Thoughts[first+i].Text = text
	}
	return nil
}
