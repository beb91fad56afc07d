#!/bin/sh
# Installs what `make bench-peers` needs and this machine lacks, after asking: the peers and the load tools, from Debian's archive.
#
#   benches/peers/install.sh            asks; YES=1 or CI=true answers yes
#
# No server is left running: Debian's are kept from starting while this installs.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

packages=""
need() { has "$1" || packages="$packages $2"; }

need python3 python3
need taskset util-linux
need nginx nginx-light
need haproxy haproxy
need wrk wrk
need openssl openssl
need h2load nghttp2-client

[ -n "$packages" ] || exit 0
echo "Missing for the comparison:$packages"
if ! has apt-get; then
    echo "This machine has no apt-get. Install by its own means:$packages" >&2
    exit 1
fi
run=""
[ "$(id -u)" = 0 ] || run="sudo"
if [ "${YES:-}" != 1 ] && [ "${CI:-}" != true ]; then
    if [ ! -t 0 ]; then
        echo "Nobody to ask. To install them: YES=1 $0" >&2
        exit 1
    fi
    printf 'Install them now with %sapt-get? [Y/n] ' "${run:+$run }"
    read -r answer
    case "$answer" in
    "" | y | Y | yes | Yes) ;;
    *) exit 1 ;;
    esac
fi
# 101 from this file keeps maintainer scripts from starting servers (invoke-rc.d, policy-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $run tee "$policy" >/dev/null
    $run chmod +x "$policy"
    trap '$run rm -f "$policy"' EXIT
fi
# The names are single words.
# shellcheck disable=SC2086
{
    $run apt-get -o DPkg::Lock::Timeout=300 -q update
    $run env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y -q install --no-install-recommends $packages
}
