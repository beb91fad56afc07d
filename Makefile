# What a newcomer types. Each target asks before it installs anything; YES=1 or CI=true answers yes.

# Two services, load, faults, timelines. More: make demo DEMO="--once --only kill,freeze"
.PHONY: demo
demo:
	@scripts/install-needed.sh
	cargo build --release --locked
	@cargo run --release --locked --quiet -- demo $(DEMO)
