"""The proxies that are compared: how each is configured, started, found and stopped. What is measured stands in rows.py."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import cpu

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "target/bench"
TOOLS = (OUT / "venv/bin", OUT / "load/release")  # what install.sh and cargo put there
PROXY_CORE, CLIENT_CORE = 0, 1
ADDRESS = "127.0.0.1"


class Missing(Exception):
    """A program that a row or a peer needs is not there, or cannot do it. The text says what to do."""


def program(name):
    """Where `name` is: first among what install.sh fetched, then on the machine."""
    found = next(filter(None, (shutil.which(str(it / name)) for it in TOOLS)), None) or shutil.which(name)
    if not found:
        raise Missing(f"{name} is missing: benches/peers/install.sh")
    return found


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def free_port():
    with socket.socket() as it:
        it.bind((ADDRESS, 0))
        return it.getsockname()[1]


def fill(template, tokens):
    """The text of config/`template` with each @TOKEN@ replaced. A token without a value is a mistake of ours."""
    text = (HERE / "config" / template).read_text()
    for name, value in tokens.items():
        text = text.replace(f"@{name}@", str(value))
    left = re.search(r"(?<!\w)@[A-Z_]+@", text)
    if left:
        raise RuntimeError(f"config/{template}: {left[0]} has no value")
    return text


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def answers(port, path="/small"):
    """Whether a GET there is answered 200."""
    try:
        with socket.create_connection((ADDRESS, port), timeout=1) as it:
            it.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            return it.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def go_first(pid, nice):
    """Sets the nice value of a process and, where the kernel shares the cores by session (autogroup), of its session."""
    if nice:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            group.write_text(str(nice))


def listens(port):
    try:
        socket.create_connection((ADDRESS, port), timeout=1).close()
    except OSError:
        return False
    return True


class Process:
    """One started program on one core; its output goes to a file. Ends with the `with` block."""

    def __init__(self, name, core, command, run, environment=None):
        run.mkdir(parents=True, exist_ok=True)
        self.name, self.output = name, run / f"{name}.out"
        with self.output.open("wb") as out:
            self.child = subprocess.Popen(
                pinned(core, command), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, cwd=run, start_new_session=True)
        go_first(self.child.pid, os.getpriority(os.PRIO_PROCESS, 0))

    @property
    def pid(self):
        return self.child.pid

    def check(self):
        if self.child.poll() is not None:
            tail = self.output.read_text(errors="replace")[-800:]
            raise RuntimeError(f"{self.name} ended by itself ({self.child.returncode}): {tail}")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(2)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)  # its own session: nobody else is in it
        except ProcessLookupError:
            pass
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@dataclass(frozen=True)
class Setting:
    """What a row asks of a peer beside plain HTTP."""

    access_log: bool = False
    tls: bool = False
    services: int = 1


class Running:
    """A peer that answers. `port` is plain HTTP, `tls_port` TLS, `admin` an address where only minato listens."""

    def __init__(self, process, port, tls_port, admin, origin):
        self.process, self.port, self.tls_port, self.admin, self.origin = process, port, tls_port, admin, origin

    def window(self):
        self.process.check()
        return cpu.Window((PROXY_CORE, CLIENT_CORE), self.process.pid, self.origin)

    def memory_kib(self):
        return cpu.memory_kib(cpu.tree(self.process.pid))


class Peer:
    """What all peers share. A peer is started afresh for each measurement, and only one runs at a time."""

    name = ""

    def version(self):
        raise NotImplementedError

    def prepare(self, run, tokens, setting):
        """Writes the configuration and returns the command; raises Missing for what it cannot do."""
        raise NotImplementedError

    def start(self, bench, setting):
        run = bench.run / self.name
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        port, tls_port, admin = free_port(), free_port(), free_port()
        tokens = {
            "RUN": run, "ORIGIN": f"{ADDRESS}:{bench.origin_port}", "HTTP": f"{ADDRESS}:{port}",
            "HTTPS": f"{ADDRESS}:{tls_port}", "ADMIN": f"{ADDRESS}:{admin}", "CERTIFICATES": bench.certificates,
            "HTTP_PORT": port, "HTTPS_PORT": tls_port, "ORIGIN_PORT": bench.origin_port,
        }
        process = Process(self.name, PROXY_CORE, self.prepare(run, tokens, setting), run)
        try:
            def up():
                process.check()
                return answers(port)
            wait_for(f"{self.name} answers", up, 20 if setting.services == 1 else 300)
            if setting.tls and not listens(tls_port):
                raise Missing(f"{self.name} takes the configuration, but serves no TLS")
        except BaseException:
            process.stop()
            raise
        return Running(process, port, tls_port, f"{ADDRESS}:{admin}", bench.origin_pid)


def first_line(command, stream="stdout"):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (getattr(result, stream) or result.stdout or result.stderr).splitlines()[0].strip()


class Nginx(Peer):
    def __init__(self, name="nginx"):
        self.name = name

    def version(self):
        return first_line([program("nginx"), "-v"], "stderr").removeprefix("nginx version: nginx/")

    def prepare(self, run, tokens, setting):
        log = f"access_log {run}/access.log combined buffer=64k flush=1s;" if setting.access_log else "access_log off;"
        tls = fill("nginx-tls.conf", tokens) if setting.tls else ""
        config = run / "nginx.conf"
        config.write_text(fill("nginx.conf", {**tokens, "ACCESS_LOG": log, "TLS": tls}))
        return [program("nginx"), "-p", str(run), "-c", str(config)]


class Haproxy(Peer):
    def __init__(self, name, splice):
        self.name, self.splice = name, splice

    def version(self):
        return first_line([program("haproxy"), "-v"]).split()[2]

    def prepare(self, run, tokens, setting):
        if setting.access_log:
            raise Missing("its log goes to syslog, one datagram for each request: not the same work")
        tls = ""
        if setting.tls:
            pem = run / "bench.pem"
            pem.write_text("".join((tokens["CERTIFICATES"] / f"bench.{it}").read_text() for it in ("crt", "key")))
            tls = f"bind {tokens['HTTPS']} backlog 16384 ssl crt {pem} alpn h2,http/1.1 ssl-min-ver TLSv1.3"
        config = run / "haproxy.cfg"
        config.write_text(fill("haproxy.cfg", {**tokens, "TLS": tls, "SPLICE": self.splice}))
        return [program("haproxy"), "-f", str(config)]


class Envoy(Peer):
    name = "envoy"

    def binary(self):
        found = sorted((OUT / "venv").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
        return str(found[0]) if found else program("envoy")

    def version(self):
        return re.search(r"/(\d+\.\d+\.\d+)/", subprocess.run(
            [self.binary(), "--version"], capture_output=True, text=True, check=False).stdout)[1]

    def prepare(self, run, tokens, setting):
        if setting.access_log:
            raise Missing("not asked for")
        tls = fill("envoy-tls.yaml", tokens).strip() if setting.tls else ""
        config = run / "envoy.yaml"
        config.write_text(fill("envoy.yaml", {**tokens, "TLS": tls}))
        return [self.binary(), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


class Traefik(Peer):
    def __init__(self, name, fast):
        self.name, self.fast = name, fast

    def version(self):
        return first_line([program("traefik"), "version"]).split()[-1]

    def prepare(self, run, tokens, setting):
        if setting.access_log:
            raise Missing("not asked for")
        (run / "dynamic.yaml").write_text(fill("traefik-dynamic.yaml", tokens))
        config = run / "traefik.yaml"
        config.write_text(fill("traefik.yaml", {**tokens, "FAST": self.fast}))
        return [program("traefik"), f"--configFile={config}"]


class Caddy(Peer):
    name = "caddy"

    def version(self):
        return first_line([program("caddy"), "version"]).split()[0].removeprefix("v")

    def prepare(self, run, tokens, setting):
        if setting.access_log:
            raise Missing("not asked for")
        config = run / "Caddyfile"
        config.write_text(fill("Caddyfile", tokens))
        return [program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]


class Minato(Peer):
    name = "minato"

    def binary(self):
        target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
        path = Path(os.environ.get("MINATO") or target / "release/minato")
        if not path.exists():
            raise Missing(f"{path} is missing: cargo build --release, or MINATO=PATH")
        return str(path.resolve())

    def version(self):
        return first_line([self.binary(), "--version"]).removeprefix("minato ")

    def prepare(self, run, tokens, setting):
        services = run / "services"
        services.mkdir()
        (services / "bench.toml").write_text(fill("service.toml", tokens))
        for number in range(1, setting.services):
            (services / f"other-{number}.toml").write_text(fill("other-service.toml", {**tokens, "NUMBER": number}))
        config = run / "minato.toml"
        gateway = ["workers = 1"]
        if setting.access_log:
            gateway.append("access_log = true")
        if setting.tls:
            gateway += [f'https = ["{tokens["HTTPS"]}"]', f'certificates = "{tokens["CERTIFICATES"]}"', "redirect = false"]
        why = ""
        for keys in (gateway, gateway[1:]):  # builds before `workers` serve with as many threads as they have cores: one
            config.write_text(fill("minato.toml", {**tokens, "GATEWAY": "\n".join(keys)}))
            check = subprocess.run([self.binary(), "check", "--config", str(config)], capture_output=True, text=True, check=False)
            if check.returncode == 0:
                return [self.binary(), "run", "--config", str(config)]
            why = (check.stdout + check.stderr).strip().splitlines()[0]
        raise Missing(f"this build of minato refuses the configuration: {why}")


PEERS = {it.name: it for it in (
    Minato(), Nginx(), Haproxy("haproxy", ""),
    # Moving bodies through a pipe instead of a buffer: tried beside the plain setting where bodies are large.
    # `splice-auto` costs as much as no splicing here; both directions by force cost half.
    Haproxy("haproxy-splice", "option splice-request\n    option splice-response"),
    Envoy(), Traefik("traefik", ""),
    # Its manual's faster way to the server, experimental there.
    Traefik("traefik-fast", "experimental: { fastProxy: {} }"),
    Caddy(),
    # Against the first nginx: the noise.
    Nginx("nginx-again"),
)}
