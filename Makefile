# What a newcomer types. Each target asks before it installs anything; YES=1 or CI=true answers yes.

# Two services, load, faults, timelines. More: make demo DEMO="--once --only kill,freeze"
.PHONY: demo
demo:
	@scripts/install-needed.sh
	cargo build --release --locked
	@cargo run --release --locked --quiet -- demo $(DEMO)

# Everything that must hold: formatting, lints, and all tests. CI runs exactly this. What this machine cannot run is listed at the
# end; under CI=true that fails.
.PHONY: test
test:
	@scripts/install-needed.sh --tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@mkdir -p target && : >target/skipped
	MINATO_SKIPPED=$(CURDIR)/target/skipped cargo test --workspace --locked
	@if [ -s target/skipped ]; then echo "Not run on this machine:"; sort -u target/skipped; else echo "Nothing was skipped."; fi

# Licences, bans and sources of all dependencies (installs cargo-deny when it is missing).
.PHONY: deny
deny:
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses bans sources

# Each fuzz target for a while, from the kept corpora (needs nightly; installs cargo-fuzz when it is missing).
# No sanitizer: none of it is unsafe. What is found lands in fuzz/artifacts and belongs into fuzz/corpus.
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in request_head response_head chunked differential relay http2 pingora; do \
		mkdir -p target/fuzz-found/$$target; corpus=$$target; [ $$target != pingora ] || corpus=differential; \
		cargo +nightly fuzz run --sanitizer none $$target target/fuzz-found/$$target fuzz/corpus/$$corpus -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 || exit 1; \
	done

# Slow, many and hostile clients: 9,000 idle connections, floods of 20,000, slow heads, bodies and readers. Some minutes; the
# short forms are part of `make test`. Wants 20,000 descriptors and slowhttptest.
.PHONY: conformance
conformance:
	@command -v slowhttptest >/dev/null || { echo "apt-get install slowhttptest"; exit 1; }
	cargo test --locked -p minato-proxy-server --test hostile -- --ignored --nocapture --test-threads 1

# Faults of many machines and of one, each ten times with short timers and once with those that users get: docs/faults.md. Two
# hours; each once with short timers is part of `make test`. Wants root, for network namespaces. Fewer: make test-faults RUNS=3
RUNS ?= 10
.PHONY: test-faults
test-faults: test-faults-one
	MINATO_FAULT_RUNS=$(RUNS) cargo test --locked --test faults -- --nocapture --test-threads 1
	MINATO_FAULT_RUNS=$(RUNS) cargo test --locked --test faults -- --ignored --nocapture --test-threads 1 rows::site_gone::
	MINATO_FAULT_ROUNDS=1000 cargo test --locked -p minato-control-server --test two_leaders
	MINATO_FAULT_TIMERS=default cargo test --locked --test faults -- --nocapture --test-threads 1
	MINATO_FAULT_TIMERS=default scripts/measured.py 1 cargo test --locked --test e2e -- --nocapture --test-threads 1 faults::

# Those of one machine alone: rows 1, 7, 9, 10, 14, 15 and 18.
.PHONY: test-faults-one
test-faults-one:
	@scripts/install-needed.sh --tests
	for rows in "-p minato --test e2e -- faults:: rollouts::a_broken_edit containers::updates::an_update containers::a_service_made disk:: scale::overload switches::planned::under_load switches::copied::orders_under_load" \
		"-p minato-control-agent --test agent -- killed_" \
		"-p minato-control-server --test scale --" \
		"-p minato-proxy-server --test hostile --"; do \
		scripts/measured.py $(RUNS) cargo test --locked $$rows --nocapture --test-threads 1 || exit 1; \
	done

# A site cut off, for minato, HAProxy and Envoy in turn: docs/faults.md. Asks before it installs what is missing. Wants root.
.PHONY: peers-faults
peers-faults:
	benches/peers/install.sh
	MINATO_FAULT_RUNS=$(RUNS) cargo test --locked --test faults -- --ignored --exact --nocapture rows::site_cut_peer::minato_and_its_peers_in_turn_on_the_same_cut

# A whole Debian, made by mmdebstrap from Debian's archive, as an image: a container serves from it. Some minutes the first time.
.PHONY: test-image
test-image:
	@scripts/install-needed.sh --tests
	@command -v mmdebstrap >/dev/null || { echo "apt-get install mmdebstrap"; exit 1; }
	cargo test --locked -p minato-control-agent --test agent -- --ignored --exact --nocapture docker::images::a_debian_image_serves

# The load of a service fourfold, and back to rest, five times at once with default times: docs/measurements.md. Seven minutes.
.PHONY: test-scale
test-scale:
	@scripts/install-needed.sh --tests
	cargo test --locked --test e2e -- --ignored --exact --nocapture scale::five_load_steps_are_answered_and_taken_back

# Every order of every step of the admission queue and of an endpoint, tried by loom.
.PHONY: model
model:
	RUSTFLAGS="--cfg loom" cargo test --release --locked -p minato-proxy --lib -- queue::model endpoint::model

# The figures of docs/measurements.md: faults ten times each, the store. Those of the table: make bench.
.PHONY: figures
figures:
	@scripts/install-needed.sh
	cargo build --release --locked
	cargo run --release --locked --quiet -- demo --once --only kill,freeze,hang,sick,route,control --repeat 10 --figures target/faults.json
	cargo bench --locked --bench store

# Lookup, choice, admission, verdicts, plans, building the table, with 10 to 100,000 services. Some: make bench BENCH=find
.PHONY: bench
bench:
	@scripts/install-needed.sh
	cargo bench --locked --bench decisions -- $(BENCH)
	cargo test --release --locked -p minato-proxy-server --lib -- --ignored --nocapture policy

# minato beside other proxies, on one core each, in one run; writes docs/benchmarks.md. A minute, writing nothing there:
#   make bench-peers ROWS=small,64k PEERS=minato,nginx,haproxy ROUNDS=3 SECONDS=3
# MINATO=PATH measures that binary instead of the one built here; NICE=-15 goes before others on a shared machine. All rows and peers: python3 benches/peers --help
.PHONY: bench-peers
bench-peers:
	@benches/peers/install.sh
	@test -n "$(MINATO)" || cargo build --release --locked
	@cargo build --release --locked --quiet --manifest-path benches/peers/load/Cargo.toml --target-dir target/bench/load
	@MINATO="$(MINATO)" PYTHONDONTWRITEBYTECODE=1 python3 benches/peers --rows "$(ROWS)" --peers "$(PEERS)" \
		--rounds "$(or $(ROUNDS),5)" --seconds "$(or $(SECONDS),5)" --nice "$(or $(NICE),0)"
