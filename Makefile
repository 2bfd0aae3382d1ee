# sluice: everything a person runs. `make help` lists it.
BUILD ?= build
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help build setup demo check check-sanitize bench bench-full fuzz soak lint clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: ## install the Debian packages that are missing (packages.txt)
	@scripts/setup.sh

$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: setup $(BUILD)/build.ninja ## compile everything but the tests
	@ninja -C $(BUILD) --quiet sluice programs

demo: build ## replay pcap-samples/mixed.pcap through config/demo.yaml
	@scripts/demo.sh $(BUILD)/sluice

check: setup $(BUILD)/build.ninja lint ## build everything and run all tests
	@ninja -C $(BUILD)
	@scripts/check.sh $(BUILD)

check-sanitize: setup ## the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, the concurrent ones under ThreadSanitizer
	@scripts/check_sanitize.sh

bench: setup $(BUILD)/build.ninja ## every benchmark beside its peers, under 5 minutes; writes build/bench.json
	@ninja -C $(BUILD) --quiet sluice tests/bench/bpf_client tests/bench/sluice_bench tests/bench/linux_peer.so programs
	@python3 tests/bench/run.py $(BUILD)

bench-full: setup $(BUILD)/build.ninja ## the same with more rounds, larger tables and 1,000,000 packets
	@ninja -C $(BUILD) --quiet sluice tests/bench/bpf_client tests/bench/sluice_bench tests/bench/linux_peer.so programs
	@python3 tests/bench/run.py --full $(BUILD)

fuzz: setup ## libFuzzer over each parser and the verifier, SECONDS (60) each
	@scripts/fuzz.sh $(or $(SECONDS),60)

soak: build ## a daemon under packets, clients, kills and scrapes for SECONDS (600): nothing may be left; needs root
	@$(SUDO) python3 tests/soak/soak.py $(BUILD)/sluice $(or $(SECONDS),600)

install: build ## the command, its programs, manual pages and completion, below /usr/local (DESTDIR is honoured)
	@meson install -C $(BUILD) --no-rebuild --quiet

lint: ## the include rule, the banned tokens of the packet path, the width of lines
	@python3 scripts/lint.py

clean: ## remove what was built
	@rm -rf build build-sanitize build-thread build-fuzz
