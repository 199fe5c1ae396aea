package forgetest

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

func TestMutate(t *testing.T) {
	const doc = `{"a":[1,2,{"b":"text"}],"c":true,"d":null,"e":{"f":1.5,"g":[]}}`
	seen := map[string]bool{}
	for seed := range uint64(2000) {
		got := Mutate(rand.New(rand.NewPCG(seed, 0)), []byte(doc), 3)
		if !json.Valid(got) {
			t.Fatalf("seed %d gave %s", seed, got)
		}
		if again := Mutate(rand.New(rand.NewPCG(seed, 0)), []byte(doc), 3); string(again) != string(got) {
			t.Fatalf("seed %d gave %s and %s", seed, got, again)
		}
		seen[string(got)] = true
	}
	if len(seen) < 700 {
		t.Errorf("2000 seeds gave %d different values", len(seen))
	}
	if got := Mutate(rand.New(rand.NewPCG(1, 0)), []byte("{"), 3); string(got) != "{" {
		t.Errorf("what is no JSON became %s", got)
	}
}
