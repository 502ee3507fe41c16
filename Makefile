# plainsight: what can an eavesdropper read of two agents' messages?
# Works with GNU make 3.81 and later. CARGO_TARGET_DIR and PLAINSIGHT_BACKEND are respected.

CARGO ?= cargo
RUN = $(CARGO) run --quiet -p
# Builds the programs that a target runs, and no others.
BUILD = $(CARGO) build $(addprefix -p ,$(1))

JUDGES = analyze report
LAB = lab agent-a agent-b capturer certgen
DEMO = lab live agent-a agent-b capturer certgen gateway isolation-control runner
ISOLATION = lab agent-b capturer certgen gateway isolation-control runner

# Seconds of `make fuzz` for each target.
FUZZ_SECONDS ?= 10

# Flags of `make report`: make report REPORT_FLAGS='--lang ko --author "Your Name" --pdf'
REPORT_FLAGS ?=

# Flags of `make demo`: make demo DEMO_FLAGS='--listen 127.0.0.1:3001 --open'
DEMO_FLAGS ?=

# Numbers of mutants of `make mutants` and `make isolation-mutants`, and the seed of the first; `make fuzz` has the same seed.
MUTANTS ?= 10000
ISOLATION_MUTANTS ?= 2000
SEED ?= 1

# Analyzes, writes the report whatever the verdict is, and exits with the verdict's status. Status 2 means that an input
# could not be used: then there may be no new result to report on.
define judge
@$(RUN) analyze -- $(1); status=$$?; \
if [ $$status -ne 2 ]; then $(RUN) report -- $(REPORT_FLAGS) || exit; fi; exit $$status
endef

.DEFAULT_GOAL := help
.PHONY: help build lab http https isolation http-local https-local isolation-local demo demo-docker analyze report sample certs test mutants lint dist deny bench doctor clean imports built-once isolation-mutants fuzz bounds

# List the targets.
help:
	@echo "plainsight: what can an eavesdropper read of two agents' messages?"
	@awk '/^# /   { text = substr($$0, 3); next } \
	      /^[a-z][a-z-]*:/ && text != "" { sub(/:.*/, ""); printf "  make %-15s %s\n", $$0, text } \
	                  { text = "" }' $(firstword $(MAKEFILE_LIST))

# Build all programs.
build:
	$(CARGO) build --workspace --bins

# Run HTTP and HTTPS, analyze both, write the report, succeed only if the conclusion is "proven".
lab:
	$(call BUILD,$(LAB) $(JUDGES))
	@$(RUN) lab -- run http https
	$(call judge,captures/http.pcap captures/https.pcap)

# Run the variant http in containers (Docker Compose); its files go to captures/.
http:
	@docker/run.sh http

# Run the variant https in containers (Docker Compose); its files go to captures/.
https:
	@docker/run.sh https

# Run the isolation experiment in containers; analyze everything in captures/ and write the report.
isolation:
	$(call BUILD,$(JUDGES))
	@docker/run.sh isolation
	$(call judge,captures)

# Run the isolation experiment on this machine (Linux, no Docker); analyze everything in captures/ and write the report.
isolation-local:
	$(call BUILD,$(ISOLATION) $(JUDGES))
	@$(RUN) lab -- run isolation
	$(call judge,captures)

# Start gateway, agent-b, captures and the page on http://127.0.0.1:3000/, until Ctrl-C (no Docker, no root).
demo:
	$(call BUILD,$(DEMO) $(JUDGES))
	@$(RUN) lab -- demo $(DEMO_FLAGS)

# The same in containers (Docker Compose), until Ctrl-C.
demo-docker:
	@docker/run.sh demo

# Run and analyze the variant http alone, on this machine.
http-local:
	$(call BUILD,$(LAB) analyze)
	@$(RUN) lab -- run http
	@$(RUN) analyze -- captures/http.pcap

# Run and analyze the variant https alone, on this machine.
https-local:
	$(call BUILD,$(LAB) analyze)
	@$(RUN) lab -- run https
	@$(RUN) analyze -- captures/https.pcap

# Analyze everything in captures/ again, and write the report.
analyze:
	$(call BUILD,$(JUDGES))
	$(call judge,captures)

# Write the report of the last result into analysis/: report.md, report.html; for report.pdf see REPORT_FLAGS.
report:
	@$(RUN) report -- $(REPORT_FLAGS)

# Run the lab and replace the committed sample of its report, in both languages, and the READMEs' pictures (needs Chromium).
sample:
	$(call BUILD,$(LAB) $(JUDGES))
	@$(RUN) lab -- run http https
	@$(RUN) analyze -- captures/http.pcap captures/https.pcap > /dev/null
	@$(RUN) report -- --lang en --output analysis/sample/en --pdf
	@$(RUN) report -- --lang ko --output analysis/sample/ko --pdf
	@docs/pictures/make.sh

# Make the lab's certificates in certs/, or renew what is about to expire.
certs:
	@$(RUN) certgen

# Run all tests; needs Rust, a C compiler and make. SEED chooses other random cases.
test: build
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --workspace --no-fail-fast

# Judge 10,000 random mutants of TLS runs; MUTANTS and SEED choose others.
mutants: build
	PLAINSIGHT_MUTANTS=$(MUTANTS) PLAINSIGHT_MUTANTS_SEED=$(SEED) $(CARGO) test -p e2e --test mutants -- --nocapture

# Judge 2,000 random alterations of an isolation run; ISOLATION_MUTANTS and SEED choose others.
isolation-mutants: build
	PLAINSIGHT_ISOLATION_MUTANTS=$(ISOLATION_MUTANTS) PLAINSIGHT_ISOLATION_MUTANTS_SEED=$(SEED) $(CARGO) test -p e2e --test isolation_mutants -- --nocapture

# Run each fuzz target on mutations of its corpus for 10 seconds; FUZZ_SECONDS and SEED choose others (stable Rust).
fuzz:
	PLAINSIGHT_FUZZ_SECONDS=$(FUZZ_SECONDS) PLAINSIGHT_FUZZ_SEED=$(SEED) $(CARGO) test -p fuzz-targets --test corpus -- --nocapture

# Check format, lints, documentation and licences.
lint: deny imports bounds
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# Check the licences and sources of dependencies if cargo-deny is installed; CI requires it.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check licenses bans sources; \
	else echo "cargo-deny is not installed (cargo install cargo-deny --locked): licences not checked" >&2; test -z "$$CI"; fi

# Check imports: no circle of files, no layer that names one above it, no unused dependency (Python 3.11).
imports:
	@if python3 -c 'import tomllib' 2>/dev/null; then .ci/imports_test.py -q && .ci/imports.py; \
	else echo "no Python 3.11: imports not checked" >&2; test -z "$$CI"; fi

# Check that the table of bounds in ARCHITECTURE.md and the constants of the parsers are the same (Python 3.11).
bounds:
	@if python3 -c 'import tomllib' 2>/dev/null; then .ci/bounds_test.py -q && .ci/bounds.py; \
	else echo "no Python 3.11: bounds not checked" >&2; test -z "$$CI"; fi

# Check, after `make test`, that building or testing a single crate compiles nothing (Python 3).
built-once:
	@.ci/compiles-nothing.py --each-program
	@.ci/compiles-nothing.py --each-test

# Measure speed and memory on generated captures of 256 MiB and 1 GiB.
bench:
	$(CARGO) build --release -p analyze -p bench
	@$(CARGO) run --quiet --release -p bench -- run

# Make the archive of a release for this machine, in dist/; `.ci/dist --check` makes it twice and compares the bytes.
dist:
	@.ci/dist

# Print what this machine supports and, where something is missing, the remedy.
doctor: build
	@$(RUN) lab -- doctor

# Remove captures, results, certificates and all build output.
clean:
	@if [ -d captures ]; then find captures -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +; fi
	rm -rf docker/bin
	rm -f certs/*.pem certs/*.key
	@if [ -d analysis ]; then find analysis -mindepth 1 -maxdepth 1 ! -name sample -exec rm -rf {} +; fi
	$(CARGO) clean
