# llem. `make demo` builds and measures; `make test` runs the tests.

GO ?= go
BIN := bin/llem

# The embedded engine is C and C++: without these flags its prefill is many times
# slower. PORTABLE=1 builds for any x86-64 CPU with AVX2 (2013 and newer).
ARCH := $(shell uname -m)
ifeq ($(PORTABLE),1)
  MARCH := $(if $(filter x86_64,$(ARCH)),-march=x86-64-v3,)
else
  MARCH := $(if $(filter x86_64,$(ARCH)),-march=native,-mcpu=native)
endif
OPTIMIZE := -O3 $(MARCH)
QUIET := -Wno-deprecated-declarations -Wno-stringop-overflow
export CGO_CFLAGS := $(OPTIMIZE) $(QUIET)
export CGO_CXXFLAGS := $(OPTIMIZE) $(QUIET)
export CGO_ENABLED ?= 1

# Packages with the C++ engine: tested without the race detector, which cannot
# check C++ and would only slow it down.
ENGINE := ./engine/embedded/...
PURE = $(shell $(GO) list ./... | grep -v -e /engine/embedded $(foreach p,$(LONG),-e '$(p:.%=%)$$'))

# Packages whose tests calculate much or read large inputs, which the race detector slows up to twentyfold: with it,
# tests that check testing.Short use smaller samples; without it they run in full.
# The same holds for tests of the whole program: with the race detector only the scripts that measure run.
# The longest comes first: it waits for processes while the others compute.
LONG := ./cmd/llem/internal/cli ./internal/join ./internal/attribute ./internal/doctor ./internal/store \
	./internal/convert ./internal/stats ./internal/study/source ./study ./bench/pairs ./cmd/llem/internal/page

# A wheel with the program for any Linux since 2014, in dist/: WHEEL_ARCH=aarch64 for ARM.
WHEEL_ARCH ?= $(ARCH)
wheel:
	python3 python/build_wheel.py --arch $(WHEEL_ARCH)

# All that a release has, in dist/: wheels, archives, debs, rpms, SBOM, checksums. DIST="--arch x86_64" for one architecture.
dist:
	python3 packaging/dist.py $(DIST)

# The image of llem, from the archive in dist.
IMAGE ?= llem
GOARCH_HERE = $(if $(filter x86_64,$(ARCH)),amd64,arm64)
image: VERSION = $(patsubst dist/llem-%-linux-$(GOARCH_HERE).tar.gz,%,$(wildcard dist/llem-*-linux-$(GOARCH_HERE).tar.gz))
image:
	docker build -t $(IMAGE) -f docker/llem.Dockerfile --build-arg TARGETARCH=$(GOARCH_HERE) \
		--build-arg VERSION=$(VERSION) .

# The documents as a site, in dist/docs: opens from a folder, with a search, and loads nothing from elsewhere.
docs:
	python3 website/build.py

.PHONY: demo build release wheel dist image docs test test-python lint bench fuzz accuracy accuracy-loads clean

demo: build
	$(BIN) run --model random:smollm2-135m --backend embedded --prompts 8 --input-tokens 128 --output-tokens 64 \
		--batch-size 8 --estimate

build:
	$(GO) build -buildvcs=auto -o $(BIN) ./cmd/llem

# A stripped binary for other machines of this architecture.
release: export CGO_CFLAGS := -O3 $(if $(filter x86_64,$(ARCH)),-march=x86-64-v3) $(QUIET)
release: export CGO_CXXFLAGS := -O3 $(if $(filter x86_64,$(ARCH)),-march=x86-64-v3) $(QUIET)
release:
	$(GO) build -buildvcs=auto -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/llem

# By default a program with the race detector sleeps for a second before it exits; tests start hundreds of
# helper processes that are built with it.
test: export GORACE ?= atexit_sleep_ms=0
# Tests that call t.Parallel wait for processes and clocks: more of them run at once than there are processors.
# All checks of go vet come first, so that they are not repeated for each pass.
# A package may take long beside other work. ONCE leaves out what .ci/run tests in another step.
test: TEST = $(GO) test -vet=off -shuffle=on -parallel 8 -timeout 30m
test:
	$(GO) vet ./...
	$(TEST) -race $(PURE)
	$(TEST) -race -short $(LONG)
	$(TEST) $(ONCE) $(LONG) $(ENGINE)
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/llem

# Engines whose tests need an interpreter.
PYTHON_ENGINES = $(patsubst %,./%...,$(sort $(dir $(shell grep -l '"LLEM_TEST_PYTHON"' engine/*/*_test.go))))

# Python workers and shapes with a real interpreter that has torch, transformers and ctranslate2.
PYTHON ?= python3
test-python:
	LLEM_TEST_PYTHON=$(PYTHON) $(GO) test -count=1 -timeout 40m $(PYTHON_ENGINES)
	LLEM_TEST_PYTHON=$(PYTHON) $(GO) test -count=1 -run '^(TestEqualWorkOnBothBackends|TestHFDirWithTransformers)$$' ./internal/model ./cmd/llem/internal/cli

lint:
	golangci-lint run ./...

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	GO="$(GO)" testdata/fuzz.sh $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The tables of docs/accuracy.md: SEEDS samples of the whole grid of simulated runs.
SEEDS ?= 2
accuracy:
	$(GO) test ./internal/join -run '^TestAccuracy$$' -count=1 -timeout 60m -v -args \
		-accuracy.seeds $(SEEDS) -accuracy.out $(CURDIR)/docs/accuracy.md

# The tables of loads in docs/accuracy.md: POINTS simulated points.
POINTS ?= 500
accuracy-loads:
	$(GO) test ./internal/join -run '^TestLoadAccuracy$$' -count=1 -timeout 60m -v -args \
		-accuracy.loads $(POINTS) -accuracy.loads-out $(CURDIR)/docs/accuracy.md

clean:
	rm -rf bin
