package config_test

import (
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/config"
)

// Everything that is wrong is reported at once, in words that say what to do.
func ExampleLoad() {
	env := map[string]string{"LYCEUM_SESSIONS_IDLE_TTL": "90", "LYCEUM_SESION_MAX_TTL": "12h"}
	var names []string
	for name := range env {
		names = append(names, name)
	}
	_, err := config.Load(config.Source{
		Flags:   map[string][]string{"dev": {"true"}},
		Env:     func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Environ: names,
	})
	fmt.Println(err)
	// Output:
	// configuration: 2 problems
	//
	// LYCEUM_SESION_MAX_TTL: no such setting (env LYCEUM_SESION_MAX_TTL)
	//   mend:    did you mean LYCEUM_SESSIONS_MAX_TTL?
	//
	// sessions.idle_ttl: "90" has no unit: write 90s for seconds (env LYCEUM_SESSIONS_IDLE_TTL)
	//   allowed: a duration from 1s to 720h, such as 90s, 15m or 1h30m
	//   mend:    correct or unset LYCEUM_SESSIONS_IDLE_TTL
}
