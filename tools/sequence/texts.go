package sequence

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
)

// chains keeps the one chain of a session. An Update writes the whole chain anew,
// so the texts of its older thoughts are put aside into slots of their own: what a
// thought costs then depends on how many there are, and hardly on how long.
var (
	chains = session.NewSlot[thought.Chain](thought.SlotName)
	texts  = session.NewSlot[thought.Block](thought.SlotName + "_texts")
)

func blockSlot(number int) session.Slot[thought.Block] { return texts.Key(blockKey(number)) }

func blockKey(number int) string { return fmt.Sprintf("%03d", number) }

// errSealed ends an Update that has nothing to change.
var errSealed = errors.New("sealed already")

// extend changes the chain and puts aside what has become old. The two commits of
// putting aside need not be one: a text never changes, its block is kept before
// the chain lets go of it, and two calls that put the same block aside write the
// same. So a failure there loses nothing; the next thought tries again.
func extend(ctx context.Context, h *session.Handle, fn func(*thought.Chain) error) error {
	var old thought.Block
	var due bool
	err := chains.Update(ctx, h, func(chain *thought.Chain) error {
		if err := fn(chain); err != nil {
			return err
		}
		old, due = chain.Sealable()
		return nil
	})
	if err != nil || !due {
		return err
	}
	kept := blockSlot(old.Number).Update(ctx, h, func(b *thought.Block) error {
		*b = old
		return nil
	})
	if kept == nil {
		_ = chains.Update(ctx, h, func(chain *thought.Chain) error {
			if !chain.Seal(old.Number) {
				return errSealed
			}
			return nil
		})
	}
	return nil
}

// restore puts the texts of the thoughts with these IDs back into a copy of the
// chain. A block is committed before the chain points to it, so it is there.
func restore(h *session.Handle, chain *thought.Chain, ids iter.Seq[int]) error {
	done := map[int]bool{}
	for id := range ids {
		number, sealed := chain.BlockOf(id)
		if !sealed || done[number] {
			continue
		}
		done[number] = true
		b, ok, err := blockSlot(number).Read(h)
		if err == nil && !ok {
			err = fmt.Errorf("block %d of the texts is missing", number)
		}
		if err == nil {
			err = chain.Restore(b)
		}
		if err != nil {
			return fmt.Errorf("read thought %d: %w", id, err)
		}
	}
	return nil
}
