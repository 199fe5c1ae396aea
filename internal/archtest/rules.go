package archtest

// Lyceum returns the rules of this repository.
func Lyceum() Rules {
	return Rules{
		Module:   "github.com/lyceum-mcp/lyceum",
		Layers:   layers(),
		Confined: confined(),
		Fences:   append(processFences(), libraryFences()...),
	}
}

// layers draws the import graph: what a package is allowed to know.
func layers() []string {
	return []string{
		// Nouns that everybody may use, made of the standard library only.
		"internal/fault|internal/event|internal/build|internal/jsonscan|internal/nearest|internal/egress",
		// State, callers, scheduling, algorithms: each knows its own subject.
		"session|internal/identity|internal/work|internal/lease|internal/sandbox|internal/reply|" +
			"internal/telemetry|internal/devidp|internal/reason/...+|internal/bridge|internal/load" +
			" session/...|internal/identity/...|internal/lease/...",
		// What a client is, may do and did.
		"internal/client internal/policy|internal/audit|internal/limit|internal/notebook|internal/job|internal/alert internal/job/...",
		// What a tool is, the families, the one list of them.
		"tools tools/... tools/catalog",
		// The faces: none of them knows another.
		"middleware|web|internal/mcpserve",
		"api",
		// Know everyone; only cmd knows them.
		"internal/config internal/app",
		"cmd/...",
		// Imported by nobody.
		"internal/archtest",
	}
}

func confined() []Confined {
	return []Confined{
		{
			Dirs:   []string{"internal/reason/..."},
			May:    []string{"internal/fault", "internal/reason/..."},
			Reason: "algorithms are pure: they know no session, no caller and no transport",
		},
		{
			Dirs:   []string{"internal/bridge", "internal/load"},
			May:    []string{"internal/fault", "internal/build"},
			Reason: "it talks to a server from outside and knows it by HTTP only",
		},
		{
			Dirs:   []string{"internal/telemetry"},
			May:    []string{"internal/build"},
			Reason: "what is measured depends on telemetry, never the other way round",
		},
	}
}

// processFences keep the process's surroundings in its main package, so that
// everything else can be run twice in one test.
func processFences() []Fence {
	const surroundings = "only cmd reads the process's arguments, environment, signals and input; pass values or functions"
	return []Fence{
		{Import: "os", Names: []string{"Args", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Stdin"}, Inside: []string{"cmd/..."}, Reason: surroundings},
		{Import: "syscall", Names: []string{"Getenv", "Environ"}, Inside: []string{"cmd/..."}, Reason: surroundings},
		{Import: "os/signal", Inside: []string{"cmd/..."}, Reason: surroundings},
		{Import: "testing", Inside: []string{"*test"}, Reason: "the testing package does not ship; contract suites live in packages named …test"},
		{Import: "math/rand", Inside: nil, Tests: true, Reason: "it draws from one global source; use math/rand/v2 with a PCG that the seed determines"},
		{Import: "math/rand/v2", Inside: []string{"..."}, Reason: "a PCG of one's own is how we draw"},
	}
}

// libraryFences keep each library where it can be replaced by changing one
// package. They bind the code that ships; tests may use what proves most.
func libraryFences() []Fence {
	everywhere := []string{"..."}
	return []Fence{
		// The protocol.
		{Import: "github.com/mark3labs/mcp-go", Inside: []string{"internal/mcpserve"}, Reason: "a new revision of the protocol touches one package"},
		{Import: "github.com/mark3labs/mcp-go/mcp", Inside: []string{"internal/mcpserve", "tools", "tools/..."}, Reason: "only tools and the transport speak in the protocol's types"},

		// HTTP.
		{Import: "github.com/go-chi/chi/v5", Inside: []string{"api"}, Reason: "routes are one list in api; handlers and middleware are plain net/http"},
		{Import: "github.com/go-chi/httprate", Inside: []string{"middleware"}, Reason: "rate limits are a middleware"},
		{Import: "github.com/getkin/kin-openapi", Inside: []string{"api"}, Reason: "only the REST interface has an OpenAPI document"},
		{Import: "github.com/oapi-codegen/runtime", Inside: []string{"api"}, Reason: "only the REST interface has generated code"},
		{Import: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", Inside: []string{"api", "middleware"}, Reason: "a request is traced once, in the chain"},

		// Identity.
		{Import: "github.com/coreos/go-oidc/v3", Inside: []string{"internal/identity/oidc"}, Reason: "tokens are judged in one place"},
		{Import: "github.com/go-jose/go-jose/v4", Inside: []string{"internal/devidp", "internal/identity/oidc"}, Reason: "keys are handled by the verifier and the development issuer only"},
		{Import: "golang.org/x/oauth2", Inside: []string{"internal/bridge", "internal/identity/...", "web"}, Reason: "login flows belong to the bridge and the admin page"},

		// Policy.
		{Import: "cel.dev/cel-go", Inside: []string{"internal/policy"}, Reason: "an operator's conditions are compiled, bounded and evaluated in one place"},

		// State.
		{Import: "github.com/hashicorp/golang-lru/v2", Inside: []string{"session", "internal/identity", "internal/identity/..."}, Reason: "a cache belongs to the package that knows what may be forgotten"},
		{Import: "go.etcd.io/bbolt", Inside: []string{"session/filestore"}, Reason: "one package writes the file"},
		{Import: "github.com/failsafe-go/failsafe-go", Inside: []string{"internal/work"}, Reason: "the adaptive ceiling is one file of the scheduler"},

		// Observation.
		{Import: "go.opentelemetry.io/otel", Inside: everywhere, Reason: "the API is how every package measures itself"},
		{Import: "go.opentelemetry.io/otel/sdk", Inside: []string{"internal/telemetry"}, Reason: "packages use the otel API; the SDK is started and stopped in one place"},
		{Import: "go.opentelemetry.io/otel/exporters", Inside: []string{"internal/telemetry"}, Reason: "where measurements go is decided in one place"},
		{Import: "github.com/prometheus/client_golang", Inside: []string{"internal/telemetry"}, Reason: "metrics are declared with the otel API and exported in one place"},

		// Settings and commands.
		{Import: "github.com/knadh/koanf", Inside: []string{"internal/config"}, Reason: "layers of settings are merged in one place"},
		{Import: "go.yaml.in/yaml/v3", Inside: []string{"internal/config"}, Reason: "YAML is for people who configure; programs speak JSON"},
		{Import: "github.com/alecthomas/kong", Inside: []string{"cmd/..."}, Reason: "only the command line has commands"},

		// Computing.
		{Import: "gonum.org/v1/gonum", Inside: []string{"internal/reason/..."}, Reason: "arithmetic lives in internal/reason"},

		// Small extensions of the standard library.
		{Import: "golang.org/x/sync", Inside: everywhere, Reason: "errgroup and singleflight are general"},
		{Import: "golang.org/x/sys", Inside: []string{"internal/sandbox", "cmd/..."}, Reason: "limits of child processes are set where they are started"},

		// Used by contract suites, which are packages, not test files.
		{Import: "github.com/anishathalye/porcupine", Inside: []string{"*test"}, Reason: "proves histories; does not ship"},
		{Import: "go.uber.org/goleak", Inside: []string{"*test"}, Reason: "finds leaked goroutines; does not ship"},
		{Import: "pgregory.net/rapid", Inside: []string{"*test"}, Reason: "generates test cases; does not ship"},
	}
}
