#!/bin/sh
# Installs what building, the tests and the demo need and this machine lacks, after asking.
#
#   scripts/install-needed.sh           asks; YES=1 or CI=true answers yes
#   scripts/install-needed.sh --tests   what the tests need, too
#
# Exit 0: all that must be there is; what else the tests need may be missing, with a word: those tests are skipped, except under
# CI=true. Exit 1: something is missing; the last line says what to do.
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
need protoc protobuf-compiler "the client of etcd is built from etcd's definitions"
# Debian keeps the definitions that all others include in a package of their own.
if [ "$packages" = "${packages#*protobuf}" ] && ! [ -e /usr/include/google/protobuf/descriptor.proto ] &&
    ! [ -e "$(dirname "$(command -v protoc)")/../include/google/protobuf/descriptor.proto" ]; then
    packages="$packages libprotobuf-dev"
    reasons="$reasons
  libprotobuf-dev: definitions that etcd's include"
fi
case "$packages" in *protobuf-compiler*) packages="$packages libprotobuf-dev" ;; esac
must=$packages
if [ "${1:-}" = --tests ]; then
    need etcd etcd-server "the tests start clusters of their own"
    need etcdctl etcd-client "the tests set up users and roles with it"
    # Those of several machines in one; as with containers, what is missing is skipped, and under CI=true that fails.
    need ip iproute2 "the tests of several machines make network namespaces"
    need iptables iptables "they cut machines from each other with it"
    need nsenter util-linux "they start programs within"
    need pgrep procps "some look for what is left behind"
    need systemd-analyze systemd "one looks whether systemd understands the units that are shipped"
    need faketime faketime "one of them has a wrong clock"
    # Those of the entrance: a routing daemon, two DNS servers.
    need bird bird2 "the tests announce an address while the gateway is alive"
    need named bind9 "the tests publish addresses in it"
    need knotd knot "the same with another server"
    # Beside the row that cuts a site off: what another proxy does.
    need haproxy haproxy "one row compares with it"
    # The data of a service that moves is copied by it.
    need rsync rsync "a command in the tests copies with it"
    # Those of relays, which start servers of their own.
    need mariadbd mariadb-server "the tests follow the primary of a database"
    need mariadb mariadb-client "the tests speak to it"
    if ! [ -e /usr/lib/postgresql ] || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        packages="$packages postgresql"
        reasons="$reasons
  postgresql: the same of another kind"
    fi
    # Those with containers; they are skipped without an engine, and under CI=true a skip fails.
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
# without WHY: ends; well where only tests are lost.
without() {
    echo "$1" >&2
    [ -z "$must" ] && [ "${CI:-}" != true ] || exit 1
    echo "Without them some tests are skipped; they are listed at the end." >&2
    exit 0
}
has apt-get || without "This machine has no apt-get. Install by its own means:$packages"
run=""
if [ "$(id -u)" != 0 ]; then
    has sudo || without "Neither root nor sudo. Ask whoever may to run: apt-get install$packages"
    run="sudo"
fi
if [ "${YES:-}" != 1 ] && [ "${CI:-}" != true ]; then
    [ -t 0 ] || without "Nobody to ask. To install them: YES=1 $0"
    printf 'Install them now with %sapt-get? [Y/n] ' "${run:+$run }"
    read -r answer
    case "$answer" in
    "" | y | Y | yes | Yes) ;;
    *) without "Nothing was installed. To do it yourself: ${run:+$run }apt-get install$packages" ;;
    esac
fi

# Debian starts servers when they are installed; what the tests start is their own. A policy that stands already stays.
policy=/usr/sbin/policy-rc.d
case "$packages" in
*etcd-server* | *docker* | *mariadb-server* | *postgresql* | *bird2* | *bind9* | *knot* | *haproxy* | *rsync*)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $run tee "$policy" >/dev/null
        $run chmod 755 "$policy"
        trap '$run rm -f "$policy"' EXIT
    fi
    ;;
esac
# Another process may hold the lock; the names are single words.
# shellcheck disable=SC2086
{
    $run apt-get -o DPkg::Lock::Timeout=300 -q update
    $run env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y -q \
        install --no-install-recommends $packages
}
# Nor at the next boot.
for unit in etcd-server:etcd mariadb-server:mariadb postgresql:postgresql bird2:bird bind9:named knot:knot haproxy:haproxy \
    rsync:rsync; do
    case "$packages" in
    *"${unit%:*}"*) if has systemctl; then $run systemctl disable --quiet "${unit#*:}" 2>/dev/null || true; fi ;;
    esac
done
