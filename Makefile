# make run, make test and make check are all that daily work needs.

GO      ?= go
TOOL    := $(GO) tool -modfile=internal/lint/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
BUILD   := github.com/lyceum-mcp/lyceum/internal/build
LDFLAGS := -X $(BUILD).version=$(VERSION) -X $(BUILD).revision=$(COMMIT)

# The version is told to the linker, so the go command need not ask git, which
# it may not do in a tree that belongs to somebody else.
GOBUILD := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)'

# make bench BENCH=Admit COUNT=10 BENCH_PACKAGES=./middleware
BENCH          ?= .
COUNT          ?= 6
BENCH_PACKAGES ?= ./middleware/... ./session/... ./tools/... ./internal/event/... ./internal/identity/... \
	./internal/app/... ./internal/audit/... ./internal/jsonscan/... ./internal/limit/... ./internal/load/... ./internal/mcpserve/... ./internal/reply/... ./internal/telemetry/... ./internal/work/...

# make fuzz FUZZ=FuzzFile FUZZTIME=5m
FUZZ     ?= .
FUZZTIME ?= 20s

# make conformance RUNS=10
RUNS ?= 1

# make quality GAMES=200
GAMES ?= 100

# make mcpb VERSION=1.2.3 PLATFORMS=linux/amd64
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
PUBLISH   := $(GO) run ./internal/publish -version '$(VERSION)' -platforms '$(PLATFORMS)'

.DEFAULT_GOAL := help
.PHONY: help run build test check vet fmt fix lint bench bench-sessions conformance prove soak-sessions simulate quality fuzz mcpb server-json generate clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build bin/lyceum
	$(GOBUILD) -o bin/lyceum ./cmd/lyceum

run: build ## build, then serve in development mode on 127.0.0.1:8383
	exec bin/lyceum serve --dev

test: ## install what the tests need, then vet and run all of them
	scripts/test-setup.sh
	$(GO) vet ./... && $(GO) test -race -shuffle=on -timeout 10m ./...

check: build vet fmt fix lint test ## everything that a change must pass

vet: ## go vet, with and without the conformance fixtures
	$(GO) vet ./...
	$(GO) vet -tags conformance ./...

fmt: ## fail if gofumpt would change a file
	@files=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "gofumpt would change:"; echo "$$files"; exit 1; fi

fix: ## fail if go fix would modernize something
	@diff=$$($(GO) fix -diff ./...); code=$$?; \
	if [ -n "$$diff" ] || [ $$code -ne 0 ]; then echo "$$diff"; exit 1; fi

lint: ## staticcheck and golangci-lint
	$(TOOL) staticcheck ./...
	$(TOOL) golangci-lint run ./...

bench: ## run the benchmarks of the hot paths COUNT times; feed two outputs to benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(BENCH_PACKAGES)

conformance: ## the official suite against a build with its fixtures, RUNS times in a row
	scripts/test-setup.sh
	$(GO) test ./cmd/lyceum -run 'TestConformance$$' -count=1 -v -timeout 60m -args -conformance.runs=$(RUNS)

prove: ## fairness, overload and batch on the real server, 5 rounds on an idle machine of 2 cores
	$(GO) test ./cmd/lyceum -run TestProve -count=1 -v -timeout 30m -args -prove=5

bench-sessions: ## open 100,000 sessions, hold them idle, let them expire: what one costs
	$(GO) test ./internal/app -run TestCapacity -count=1 -v -timeout 30m -capacity 100000

soak-sessions: ## a million operations: one tenant floods beside quiet ones, over a file
	$(GO) test ./session -run TestFloodBesideQuietTenants -count=1 -v -timeout 30m -args -ops=1000000

simulate: ## play the queue in virtual time, print the tables and renew those in docs
	$(GO) test ./internal/work -run TestSimulate -count=1 -v -args -simulate.docs=$(CURDIR)/docs

quality: ## play and schedule with the search, GAMES for each line, and renew docs/search-quality.md
	$(GO) test ./internal/reason/mcts -run 'TestQuality$$' -count=1 -v -timeout 60m -args -games=$(GAMES) -quality.docs=$(CURDIR)/docs

fuzz: ## run every fuzz test that matches FUZZ for FUZZTIME
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do \
		name=$${func#func }; \
		echo "$$name" | grep -Eq '$(FUZZ)' || continue; \
		echo "== $$name in $${file%/*}"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$${file%/*}" || exit 1; \
	done

# Without symbol tables and debug data: a stack trace needs neither.
mcpb: build ## build bin/lyceum-OS-ARCH.mcpb, a bundle for desktop hosts, for each of PLATFORMS
	@for p in $(PLATFORMS); do \
		os=$${p%/*} arch=$${p#*/} ext=; if [ $$os = windows ]; then ext=.exe; fi; \
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -ldflags '$(LDFLAGS) -s -w' -o bin/programs/$$os-$$arch/lyceum$$ext ./cmd/lyceum || exit 1; \
	done
	scripts/list-tools.sh bin/lyceum > bin/tools.jsonl
	$(PUBLISH) bundles

server-json: ## write bin/server.json for the MCP registry, of the bundles in bin; needs VERSION=1.2.3
	$(PUBLISH) server-json

generate: ## run go generate
	$(GO) generate ./...

clean: ## remove what build made; data directories stay
	rm -rf bin
