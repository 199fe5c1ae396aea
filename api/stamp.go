//go:build ignore

// Stamp is run by go generate after the generator: it notes in rest_gen.go what
// the file was made from, so that a test can tell a stale file without running
// the generator.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	h := sha256.New()
	for _, name := range []string{"../openapi.yaml", "oapi-codegen.yaml", "rest_gen.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			log.Fatalf("stamp: %v", err)
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	f, err := os.OpenFile("rest_gen.go", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		log.Fatalf("stamp: %v", err)
	}
	if _, err := fmt.Fprintf(f, "\n// Stamp: %x\n", h.Sum(nil)); err != nil {
		log.Fatalf("stamp: %v", err)
	}
	if err := f.Close(); err != nil {
		log.Fatalf("stamp: %v", err)
	}
}
