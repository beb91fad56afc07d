#!/bin/sh
# Installs what building, the tests and the demo need and this machine lacks, after asking.
#
#   scripts/install-needed.sh           asks; YES=1 or CI=true answers yes
#
# Exit 0: everything is there. Exit 1: something is missing; the last line says what to do.
# Packages come from Debian's archive; Rust does not (see the message).
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

packages=""
reasons=""
# need COMMAND PACKAGE WHY
need() {
    has "$1" && return 0
    packages="$packages $2"
    reasons="$reasons
  $2: $3"
}

need cc build-essential "C compiler and linker"
need python3 python3 "the demo and the tests run Python's own web server"
need curl curl "the tests drive the gateway with it"
need openssl openssl "the tests speak TLS with it"
# Tests with containers are skipped without an engine; under CI=true a skip fails. CONTAINERS=1 asks for them elsewhere.
if [ "${CI:-}" = true ] || [ "${CONTAINERS:-}" = 1 ]; then
    need dockerd docker.io "the tests with containers start an engine of their own"
    need docker-registry docker-registry "the tests with containers fetch from it"
    need htpasswd apache2-utils "its password is made with it"
fi

# Without rustup, which fetches the version that rust-toolchain.toml names, the one that is there must be it.
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$(dirname "$0")/../rust-toolchain.toml")
if ! has rustup && ! cargo --version 2>/dev/null | grep -qF "$version"; then
    echo "Rust $version is missing. Install rustup from https://rustup.rs and run this again." >&2
    exit 1
fi
[ -n "$packages" ] || exit 0

echo "Missing here:$reasons"
if ! has apt-get; then
    echo "This machine has no apt-get. Install by its own means:$packages" >&2
    exit 1
fi
run=""
if [ "$(id -u)" != 0 ]; then
    if ! has sudo; then
        echo "Neither root nor sudo. Ask whoever may to run: apt-get install$packages" >&2
        exit 1
    fi
    run="sudo"
fi
if [ "${YES:-}" != 1 ] && [ "${CI:-}" != true ]; then
    if [ ! -t 0 ]; then
        echo "Nobody to ask. To install them: YES=1 $0" >&2
        exit 1
    fi
    printf 'Install them now with %sapt-get? [Y/n] ' "${run:+$run }"
    read -r answer
    case "$answer" in
    "" | y | Y | yes | Yes) ;;
    *)
        echo "Nothing was installed. To do it yourself: ${run:+$run }apt-get install$packages" >&2
        exit 1
        ;;
    esac
fi

# Debian starts what it installs; nothing here wants a server.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $run tee "$policy" >/dev/null
    $run chmod 755 "$policy"
    trap '$run rm -f "$policy"' EXIT
fi
# Another process may hold the lock; the names are single words.
# shellcheck disable=SC2086
{
    $run apt-get -o DPkg::Lock::Timeout=300 -q update
    $run env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y -q \
        install --no-install-recommends $packages
}
