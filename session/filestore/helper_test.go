package filestore

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/lyceum-mcp/lyceum/session"
)

// helpers are what the test binary runs as a process of its own.
var helpers = map[string]func(args []string) int{"crash": crashHelper, "full": fullHelper}

const crashWriters = 64

// crashData is the slot of one version of one session: long enough for more
// than a page, different for every version.
func crashData(writer int, version uint64) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d:%d;", writer, version), 500+writer*10))
}

// crashHelper writes sessions until it is killed, and prints each version that
// was acknowledged. Versions go on where the store has them.
func crashHelper(args []string) int {
	ctx := context.Background()
	cfg := Config{Dir: args[0]}
	if args[1] == "encrypted" {
		cfg.Keys = []Key{keyA}
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var mu sync.Mutex // owns stdout
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			k := key(fmt.Sprintf("rs_%d", w))
			snap, err := s.Load(ctx, k)
			r, create := snap.Record, err != nil
			r.Key = k
			for {
				from := r.Version
				r.Version++
				r.Expires = epoch.Add(1)
				err := s.Save(ctx, session.Change{
					Record: r, From: from, Create: create, Clear: true,
					Put: []session.Cell{{Name: fmt.Sprint("v", r.Version%3), Version: r.Version, Data: crashData(w, r.Version)}},
				})
				mu.Lock()
				if err != nil {
					fmt.Fprintln(os.Stdout, "error", err)
					mu.Unlock()
					return
				}
				fmt.Fprintln(os.Stdout, "ack", w, r.Version)
				mu.Unlock()
				create = false
			}
		})
	}
	wg.Wait()
	return 1
}
