# Evertoken. `make` without a target lists the targets.

GO    ?= go
TOOL  := $(GO) tool -modfile=tools/go.mod
# How the functions are built: static; without the RPC code of the retired go1.x runtime;
# without paths of this machine, symbols and debug tables; with the commit, if git knows it.
# The same commit gives the same bytes.
VCS   := -buildvcs=$(if $(shell git rev-parse HEAD 2>/dev/null),true,false)
BUILD := CGO_ENABLED=0 GOOS=linux $(GO) build $(VCS) -tags lambda.norpc -trimpath -ldflags "-s -w"
# The two processors that Lambda offers, by their Go names.
ARCHES    := arm64 amd64
FUNCTIONS := issue rotate

# `sam build` does not set this. The template's default is arm64.
GOARCH_LAMBDA ?= arm64

# Variables of `make run`.
SERVE       ?=
CONNECTIONS ?=
RUN_FLAGS   := $(if $(filter-out 0,$(SERVE)),-serve) $(if $(CONNECTIONS),-connections '$(CONNECTIONS)')

# How many combinations of faults `make soak` draws. It runs in the package's
# folder because go test prints the summary only there.
SOAK_CHECKS ?= 5000

.DEFAULT_GOAL := help
.PHONY: help run quick test test-race test-long lint verify bench soak mutate build build-IssueFunction build-RotateFunction sam-local release sbom vulnerabilities conformance-aws clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-zA-Z-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: ## run both functions on this machine, with stand-ins for AWS and the providers (SERVE=1 keeps them running, CONNECTIONS=file.json)
	$(GO) run ./cmd/local $(RUN_FLAGS)

# The race detector needs a C compiler.
CC_FOUND := $(shell command -v $$($(GO) env CC) 2>/dev/null)

# All packages except the simulation, those that build binaries, and those that read the whole template.
QUICK := $(GO) list ./... | grep -vE '/(internal/simulate|e2e|e2e/.*|cmd/local|cmd/release|internal/fake/lambda|verify/.*)$$'

# The tests need little memory and leave much garbage: with a larger heap they take up to a
# fifth less processor time.
quick test verify: export GOGC ?= 400

# These come first, so that no long one is left alone at the end.
SLOW := $(addprefix ./internal/,renew rotate issue corpus)

quick: ## run the tests that take seconds, without the race detector
	$(GO) test $(SLOW) $$($(QUICK))

# These let days of virtual time pass, one call after another. The race detector makes
# each call several times slower, so `make test` runs them without it, and `make verify`
# runs them with it.
LONG := $(addprefix ./,internal/simulate internal/corpus internal/renew verify/template)
# The slowest of the others; e2e waits half a minute, while the next ones run.
FIRST := ./e2e $(filter-out $(LONG),$(SLOW))

# The race detector waits a second at the end of each package unless it is told not to.
RACE := GORACE=atexit_sleep_ms=0 $(GO) test -race

# An hour is far more than a busy machine needs. The long tests have no limit under the
# race detector.
test: ## run every test, with the race detector for those that take seconds (less than two minutes)
ifeq ($(CC_FOUND),)
	@echo >&2 '################################################################'
	@echo >&2 '## No C compiler: the tests run WITHOUT the race detector.    ##'
	@echo >&2 '################################################################'
	$(GO) test -timeout 60m ./...
else
	@$(MAKE) --no-print-directory -j2 test-race test-long
endif

# Side by side, so that the processors are busy while e2e waits.
test-race:
	$(RACE) -timeout 60m $(FIRST) $$($(GO) list ./... | grep -vxF "$$($(GO) list $(LONG))")

test-long:
	$(GO) test -timeout 60m $(LONG)

lint: ## check format, vet, staticcheck, golangci-lint and tidy modules
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './build/*' -not -path './.*/*' -not -path '*/node_modules/*')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) golangci-lint run ./...
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff

verify: lint test ## check everything: lint, test, the long tests with the race detector, then the scripts of verify/
	$(RACE) -timeout 0 $(LONG)
	./verify/run.sh

bench: ## measure the built functions against AWS's quotas, and write docs/performance.md (about 25 minutes)
	$(GO) run ./e2e/bench

soak: ## search at length for faults that lose a refresh token, and simulate a quarter (about ten minutes)
	cd internal/simulate && EVERTOKEN_SOAK=1 $(GO) test -count=1 -timeout 0 -rapid.checks=$(SOAK_CHECKS)

# Mutates one package at a time, on a copy of the module. verify/mutate/README.md has the score
# and says how to read it. gremlins calls verify/mutate instead of the go command, because it
# comes first in PATH under that name.
MUTATED ?= session renew issue rotate

mutate: ## change the code in small steps and check that a test fails each time (MUTATED="session renew"; hours)
	@mkdir -p build/mutate
	$(GO) build -o build/mutate/go ./verify/mutate
	cd tools && $(GO) build -o ../build/mutate/gremlins github.com/go-gremlins/gremlins/cmd/gremlins
	@set -e; for package in $(MUTATED); do \
		EVERTOKEN_GO="$$(command -v $(GO))" PATH="$(CURDIR)/build/mutate:$$PATH" \
		gremlins unleash -o build/mutate/$$package.json $(MUTATE_FLAGS) ./internal/$$package; \
	done

# This always runs `go build`, which knows better than make what is up to date.
build: ## build the functions: build/{arm64,amd64}/{issue,rotate}/bootstrap
	@set -e; for arch in $(ARCHES); do for function in $(FUNCTIONS); do \
		echo "build/$$arch/$$function/bootstrap"; \
		GOARCH=$$arch $(BUILD) -o build/$$arch/$$function/bootstrap ./functions/$$function; \
	done; done

# `sam build` calls these two (BuildMethod: makefile) and sets ARTIFACTS_DIR. It does not say
# for which processor: for x86_64, set GOARCH_LAMBDA=amd64 as well as the template parameter
# Architecture.
build-IssueFunction: ## build issue for `sam build`
	GOARCH=$(GOARCH_LAMBDA) $(BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/issue

build-RotateFunction: ## build rotate for `sam build`
	GOARCH=$(GOARCH_LAMBDA) $(BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/rotate

# The container runs on this machine's processor and uses this machine's loopback interface.
HOST_ARCH := $(shell $(GO) env GOHOSTARCH)
SAM_ARCH  := $(if $(filter amd64,$(HOST_ARCH)),x86_64,$(HOST_ARCH))
SAM_LOCAL := sam local invoke --docker-network host --env-vars env.local.json --parameter-overrides Architecture=$(SAM_ARCH)

sam-local: ## run the functions in AWS's container image, against `make run SERVE=1` in another terminal (needs SAM CLI and a container engine)
	@test -f env.local.json || { echo "env.local.json is missing: start \`make run SERVE=1\` in another terminal first"; exit 1; }
	GOARCH_LAMBDA=$(HOST_ARCH) sam build --parameter-overrides Architecture=$(SAM_ARCH)
	@set -e; for event in issue-schedule issue-one issue-dry-run; do $(SAM_LOCAL) IssueFunction --event events/$$event.json; done
	@set -e; for step in create set test finish; do $(SAM_LOCAL) RotateFunction --event events/rotate-$$step.json; done

conformance-aws: ## check in a real account what the AWS fake assumes (costs cents; needs EVERTOKEN_CONFORMANCE_AWS=1)
	@test "$$EVERTOKEN_CONFORMANCE_AWS" = 1 || { echo "this creates and deletes secrets in the AWS account of your credentials: set EVERTOKEN_CONFORMANCE_AWS=1"; exit 1; }
	$(GO) test -tags conformance_aws -count=1 -v -timeout 30m -run "^TestConformanceAWS$$" ./verify/conformance

release: ## write all files of a version to dist/, for users without Go or a clone (VERSION=v1.2.3)
	$(GO) run ./cmd/release -version '$(VERSION)' -out dist

sbom: build ## list the modules in each function in build/sbom (CycloneDX)
	@set -e; mkdir -p build/sbom; for function in $(FUNCTIONS); do \
		echo "build/sbom/$$function.cdx.json"; \
		$(TOOL) cyclonedx-gomod bin -std -json -noserial -output build/sbom/$$function.cdx.json build/arm64/$$function/bootstrap; \
	done

vulnerabilities: ## check the called code for known vulnerabilities (uses vuln.go.dev)
	$(TOOL) govulncheck ./...

clean: ## remove everything that was built
	rm -rf build dist .aws-sam
