.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO ?= go
# libseccomp is linked statically; without these tags glibc's name service and
# user database would be looked for at run time.
TAGS    := netgo,osusergo
LDFLAGS := -s -w -linkmode external -extldflags "-static"
GOFLAGS_BUILD := -trimpath -tags $(TAGS)
FUZZTIME ?= 10s

.PHONY: help
help: ## show this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps:
	@scripts/install-packages scripts/packages.txt

.PHONY: test-deps
test-deps:
	@scripts/install-packages scripts/packages.txt integration/packages.txt

.PHONY: build
build: deps ## build bin/boundary, one static binary
	CGO_ENABLED=1 $(GO) build $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o bin/boundary ./cmd/boundary

.PHONY: demo
demo: build ## show the main job: a poisoned pull request, and what becomes of it
	@$(GO) run $(GOFLAGS_BUILD) ./integration/demo

.PHONY: test
test: test-deps build ## run every test, as root and as an ordinary user where root runs it
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) -timeout 40m ./...

.PHONY: integration
integration: test-deps build ## run the black-box tests only
	$(GO) test -tags $(TAGS) -timeout 40m ./integration/...

.PHONY: escapes
escapes: test-deps build ## try every way out, races for five seconds each (half an hour)
	$(GO) test -tags $(TAGS) -timeout 90m -run 'TestEscapes|TestKernelGuards' ./integration -races -racefor 5s

.PHONY: race
race: test-deps ## run the packages' own tests under the race detector
	$(GO) test -race -tags $(TAGS) ./audit/... ./policies/... ./seccomp/... ./supervisor/... ./tlsproxy/...

.PHONY: lint
lint: deps ## check form: gofmt, vet, staticcheck, tidiness of go.mod
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(GO) tool staticcheck -tags $(TAGS) -checks all ./...
	$(GO) mod tidy -diff

.PHONY: bench
bench: test-deps build ## measure, with ratios side by side in one run
	$(GO) test -tags $(TAGS) -run '^$$' -bench . ./...

.PHONY: fuzz
fuzz: deps ## run each fuzz test for FUZZTIME (10s)
	@for package in $$($(GO) list ./...); do \
		for fuzz in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$fuzz"; \
			$(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
