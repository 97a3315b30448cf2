# SPDX-License-Identifier: MIT
# The project's commands. `make run` shows Piko working, `make test` runs every test (CI runs exactly that),
# `make bench` measures. Each installs what it needs first, quickly where nothing is missing.
# The sections of `make test` run one after another and stop at the first that fails: they all want the whole machine.

SWIFT ?= swift
FUZZ_SECONDS ?= 30
PIKO := .build/release/piko
# UBSan reaches the C targets only, through -Xcc; its runtime is part of ASan's.
UBSAN := -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined
# The XCTest half of a test run has no tests here, and leaks by itself.
TEST := $(SWIFT) test --disable-xctest
PYTEST := .venv/bin/python -m pytest -q Integration

section = @printf '\n==== %s\n' "$(1)"

.PHONY: help run build test check test-swift test-asan test-tsan test-engine test-integration test-long fuzz bench clean

help:
	@echo "make run     install what is missing, build, show a request through a tunnel"
	@echo "make test    install what the tests need and run all of them"
	@echo "make test-long   the tests that take minutes each"
	@echo "make bench   measure against nginx and HAProxy; ROWS=\"small idle\" measures these rows only"
	@echo "make build   the release binary, $(PIKO)"
	@echo "make clean   remove what was built"

build:
	@scripts/install-deps build
	$(SWIFT) build -c release --product piko

run:
	@scripts/install-deps build run
	$(SWIFT) build -c release --product piko
	@scripts/demo

test:
	@scripts/install-deps build test
	@$(MAKE) --no-print-directory check build test-asan test-tsan test-engine test-integration fuzz

# Layers and form; first, since it takes a second. Each check proves beforehand that it can fail.
check:
	$(call section,layers and form)
	scripts/check-layers --self-test
	scripts/check-layers
	scripts/check-style --self-test
	scripts/check-style

# For development: the same tests as test-asan, sooner built; `make test` has them once.
test-swift:
	$(call section,unit tests)
	$(TEST)

test-asan:
	$(call section,unit tests under AddressSanitizer and UndefinedBehaviorSanitizer)
	UBSAN_OPTIONS=print_stacktrace=1 $(TEST) --sanitize=address $(UBSAN) --scratch-path .build-asan

test-tsan:
	$(call section,engine tests under ThreadSanitizer)
	$(TEST) --sanitize=thread --filter PikoEngineTests --scratch-path .build-tsan

test-engine:
	$(call section,the engine's C tests under AddressSanitizer and UndefinedBehaviorSanitizer)
	Tests/EngineC/run asan
	$(call section,the engine's C tests under ThreadSanitizer)
	Tests/EngineC/run tsan

# What measures CPU, memory or latency runs by itself, behind the rest: plainly with one loop, and with TLS and tokens with two. With four loops it is a part of
# `make test-long`. The rest waits more than it computes, so it runs four at a time.
test-integration:
	$(SWIFT) build -c release --product HeadDump
	$(call section,whole processes with one loop)
	$(PYTEST) --loops 1 -m "not alone" -n 4 --dist loadfile
	$(PYTEST) --loops 1 -m alone
	$(call section,whole processes with four loops)
	$(PYTEST) --loops 4 -m "not alone" -n 4 --dist loadfile --ignore Integration/differential
	$(call section,whole processes with TLS and tokens everywhere)
	$(PYTEST) --loops 2 --tls --tokens -m "not alone" -n 4 --dist loadfile --ignore Integration/differential
	$(PYTEST) --loops 2 --tls --tokens -m alone

# Over an hour: what lasts for minutes by its nature, the soak, and what measures with four loops.
test-long: build
	@scripts/install-deps test
	$(PYTEST) --loops 1 -m long
	$(PYTEST) --loops 4 -m "long and not alone" -n 2
	$(PYTEST) --loops 4 -m alone

# Each target runs so many seconds, two at a time.
fuzz:
	$(call section,fuzzing of the parsers)
	Fuzz/run --self-test
	Fuzz/run $(FUZZ_SECONDS) --jobs 2

bench: build
	@scripts/install-deps bench
	@Benchmarks/run $(ROWS)

clean:
	rm -rf .build .build-* .venv
