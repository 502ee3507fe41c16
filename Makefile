# plainsight: what can somebody on the wire read of what the agents say to each other?
# Works with GNU make 3.81 and later. CARGO_TARGET_DIR and PLAINSIGHT_BACKEND are respected.

CARGO ?= cargo
# `--bin` without a package takes the features of the whole workspace, so that nothing is built twice.
RUN = $(CARGO) run --quiet --bin

.DEFAULT_GOAL := help
.PHONY: help build lab http https isolation http-local https-local isolation-local analyze certs test lint deny bench doctor clean

# List the targets.
help:
	@echo "plainsight: what can somebody on the wire read of what the agents say to each other?"
	@awk '/^# /   { text = substr($$0, 3); next } \
	      /^[a-z][a-z-]*:/ && text != "" { sub(/:.*/, ""); printf "  make %-12s %s\n", $$0, text } \
	                  { text = "" }' $(firstword $(MAKEFILE_LIST))

# Build all programs.
build:
	$(CARGO) build --workspace --bins

# Run HTTP and HTTPS, analyze both, succeed only if the conclusion is "proven".
lab: build
	@$(RUN) lab -- run http https
	@$(RUN) analyze -- captures/http.pcap captures/https.pcap

# Run the variant http in containers (Docker Compose); its files go to captures/.
http:
	@docker/run.sh http

# Run the variant https in containers (Docker Compose); its files go to captures/.
https:
	@docker/run.sh https

# Run the isolation experiment in containers and say whether anything left the boxes.
isolation: build
	@docker/run.sh isolation
	@$(RUN) analyze -- captures/isolation.json

# Run the isolation experiment on this machine (Linux), without Docker, and say whether anything left the boxes.
isolation-local: build
	@$(RUN) lab -- run isolation
	@$(RUN) analyze -- captures/isolation.json

# Run and analyze the variant http alone, on this machine.
http-local: build
	@$(RUN) lab -- run http
	@$(RUN) analyze -- captures/http.pcap

# Run and analyze the variant https alone, on this machine.
https-local: build
	@$(RUN) lab -- run https
	@$(RUN) analyze -- captures/https.pcap

# Analyze everything in captures/ once more.
analyze: build
	@$(RUN) analyze -- captures

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
