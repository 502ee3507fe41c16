# plainsight: what can somebody on the wire read of what the agents say to each other?
# Works with GNU make 3.81 and later. CARGO_TARGET_DIR and PLAINSIGHT_BACKEND are respected.

CARGO ?= cargo
# `--bin` without a package takes the features of the whole workspace, so that nothing is built twice.
RUN = $(CARGO) run --quiet --bin

# What `make report` is told: make report REPORT_FLAGS='--lang ko --author "Your Name" --pdf'
REPORT_FLAGS ?=

# Analyzes, reports whatever the verdict is, and ends with the verdict's status. Status 2 says that an input could not be
# used: then there may be no new result to report on.
define judge
@$(RUN) analyze -- $(1); status=$$?; \
if [ $$status -ne 2 ]; then $(RUN) report -- $(REPORT_FLAGS) || exit; fi; exit $$status
endef

.DEFAULT_GOAL := help
.PHONY: help build lab http https isolation http-local https-local isolation-local analyze report sample certs test lint deny bench doctor clean

# List the targets.
help:
	@echo "plainsight: what can somebody on the wire read of what the agents say to each other?"
	@awk '/^# /   { text = substr($$0, 3); next } \
	      /^[a-z][a-z-]*:/ && text != "" { sub(/:.*/, ""); printf "  make %-15s %s\n", $$0, text } \
	                  { text = "" }' $(firstword $(MAKEFILE_LIST))

# Build all programs.
build:
	$(CARGO) build --workspace --bins

# Run HTTP and HTTPS, analyze both, write the report, succeed only if the conclusion is "proven".
lab: build
	@$(RUN) lab -- run http https
	$(call judge,captures/http.pcap captures/https.pcap)

# Run the variant http in containers (Docker Compose); its files go to captures/.
http:
	@docker/run.sh http

# Run the variant https in containers (Docker Compose); its files go to captures/.
https:
	@docker/run.sh https

# Run the isolation experiment in containers, and judge it with all else in captures/.
isolation: build
	@docker/run.sh isolation
	$(call judge,captures)

# Run the isolation experiment on this machine (Linux, no Docker), and judge it with all else in captures/.
isolation-local: build
	@$(RUN) lab -- run isolation
	$(call judge,captures)

# Run and analyze the variant http alone, on this machine.
http-local: build
	@$(RUN) lab -- run http
	@$(RUN) analyze -- captures/http.pcap

# Run and analyze the variant https alone, on this machine.
https-local: build
	@$(RUN) lab -- run https
	@$(RUN) analyze -- captures/https.pcap

# Analyze everything in captures/ once more, and write the report.
analyze: build
	$(call judge,captures)

# Write the report of the last result into analysis/: report.md, report.html; for report.pdf see REPORT_FLAGS.
report: build
	@$(RUN) report -- $(REPORT_FLAGS)

# Run the lab and replace the committed sample of its report, in both languages (takes Chromium for the PDF).
sample: build
	@$(RUN) lab -- run http https
	@$(RUN) analyze -- captures/http.pcap captures/https.pcap > /dev/null
	@$(RUN) report -- --lang en --output analysis/sample/en --pdf
	@$(RUN) report -- --lang ko --output analysis/sample/ko --pdf

# Make the lab's certificates in certs/, or renew what is about to expire.
certs: build
	@$(RUN) certgen

# Run all tests; needs Rust, a C compiler and make.
test: build
	$(CARGO) test --workspace --no-fail-fast

# Check format, lints, documentation and licences.
lint: deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# Check the dependencies' licences and sources, where cargo-deny is installed; in CI it must be.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check licenses bans sources; \
	else echo "cargo-deny is not installed (cargo install cargo-deny --locked): licences not checked" >&2; test -z "$$CI"; fi

# Measure speed and memory on generated captures of 256 MiB and 1 GiB.
bench:
	$(CARGO) build --release --bin analyze --bin bench
	@$(CARGO) run --quiet --release --bin bench -- run

# Say what this machine can do and, where it refuses something, the remedy.
doctor: build
	@$(RUN) lab -- doctor

# Remove captures, results, certificates and everything that was built.
clean:
	@if [ -d captures ]; then find captures -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +; fi
	rm -rf docker/bin
	rm -f certs/*.pem certs/*.key
	@if [ -d analysis ]; then find analysis -mindepth 1 -maxdepth 1 ! -name sample -exec rm -rf {} +; fi
	$(CARGO) clean
