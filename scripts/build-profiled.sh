#!/bin/sh
# Builds the binary that is shipped: the same code as `cargo build --release`, laid out by a profile of a gateway under load.
#
#   scripts/build-profiled.sh          writes target/profiled/minato; three times as long as a plain release build
#
# Built with counters first; then load runs through it (kept-alive, new and TLS connections, HTTP/2, long bodies, the access log), and
# what was counted tells the compiler which way branches go and which functions belong together. Wants python3, openssl, taskset,
# h2load (nghttp2-client), and llvm-profdata of the compiler's own version (rustup component add llvm-tools).
set -eu
cd "$(dirname "$0")/.."
out=$PWD/target/profiled
host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
[ -x "$profdata" ] || rustup component add llvm-tools
[ -x "$profdata" ] || { echo "$profdata is missing, and rustup could not add llvm-tools" >&2; exit 1; }
for it in python3 openssl taskset h2load; do
    command -v $it >/dev/null || { echo "$it is missing; on Debian: apt-get install python3 openssl util-linux nghttp2-client" >&2; exit 1; }
done

rm -rf "$out/counted"
mkdir -p "$out/counted"
echo "1 of 3: built with counters"
# A target that is named keeps the flags away from build scripts.
RUSTFLAGS="-Cprofile-generate=$out/counted" cargo build --release --locked --target "$host" --target-dir "$out/build"
cargo build --release --locked --quiet --manifest-path benches/peers/load/Cargo.toml --target-dir target/bench/load
cp "$out/build/$host/release/minato" "$out/minato-counting"

echo "2 of 3: load, about two minutes"
LLVM_PROFILE_FILE="$out/counted/%p-%m.profraw" MINATO="$out/minato-counting" PYTHONDONTWRITEBYTECODE=1 \
    python3 benches/peers --peers minato --rounds 1 --seconds "${SECONDS_EACH:-4}" --rows small,log,64k,10m,upload,newconn,tls,tls-full,tls-resumed,http2
"$profdata" merge -o "$out/load.profdata" "$out"/counted/*.profraw
# Named by what it says, so that cargo sees when it is another.
used=$out/load-$(sha256sum <"$out/load.profdata" | cut -c1-12).profdata
mv "$out/load.profdata" "$used"

echo "3 of 3: built by what was counted"
RUSTFLAGS="-Cprofile-use=$used" cargo build --profile shipped --locked --target "$host" --target-dir "$out/build"
cp "$out/build/$host/shipped/minato" "$out/minato"
rm -f "$out/minato-counting"
echo "built: target/profiled/minato"
