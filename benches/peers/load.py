"""Load on the client's core: what is sent, and how much was answered. Measures nothing of the proxy.

`client` is load/, our own: least CPU for each request, constant rates counted from when a request was due. `wrk` and `h2load` are the
well-known tools; rows name which one they use.
"""

import json
import re
import select
import socket
import subprocess
from dataclasses import dataclass

from peers import ADDRESS, CLIENT_CORE, pinned, program


BODIES = {"small": 1 << 10, "64k": 64 << 10, "10m": 10 << 20}  # what the origin answers, by path


@dataclass(frozen=True)
class Answered:
    requests: int
    failed: int
    seconds: float
    """The rest of what the tool said."""
    said: dict


def run(command):
    out = subprocess.run(pinned(CLIENT_CORE, command), capture_output=True, text=True, check=False)
    if out.returncode:
        raise RuntimeError(f"{command[0]}: {(out.stdout + out.stderr).strip()[-300:]}")
    return out.stdout


def client(port, seconds, *words):
    """load/src/main.rs says what the words mean."""
    path = next((it.removeprefix("path=/") for it in words if it.startswith("path=")), "")
    length = (f"length={BODIES[path]}",) if path in BODIES else ()
    said = json.loads(run([program("bench-load"), "client", f"to={ADDRESS}:{port}", f"seconds={seconds}", *words, *length]))
    return Answered(said["requests"], said["failed"] + said["unsent"], said["seconds"], said)


def wrk(port, path, seconds, connections=64):
    """Closed loop: each connection sends the next request when the last is answered."""
    out = run([program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", f"http://{ADDRESS}:{port}{path}"])
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", out)
    failed = sum(int(it) for it in re.findall(r"(?:connect|read|write|timeout) (\d+)", out))
    failed += sum(int(it) for it in re.findall(r"Non-2xx or 3xx responses: (\d+)", out))
    return Answered(int(found[1]), failed, float(found[2]) / (1000 if found[3] == "ms" else 1), {})


def h2load(port, path, seconds, *words, connections=16, streams=16):
    """HTTP/2 over TLS, closed loop, or below the rate that the word `rate=` gives."""
    rate = [f"--rps={float(it.removeprefix('rate=')) / connections:.0f}" for it in words]
    out = run([
        program("h2load"), "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), *rate, f"https://{ADDRESS}:{port}{path}"])
    if "Application protocol: h2" not in out:
        raise RuntimeError("HTTP/2 was not agreed on")
    found = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored", out)
    wrong = sum(int(it) for it in re.findall(r"(\d+) [345]xx", out))
    # It counts what the end of the time cuts off as failed, at most one request a stream.
    cut = connections * streams
    failed = max(int(found[2]) + int(found[3]) - cut, 0) + wrong
    return Answered(int(found[1]), failed, float(seconds), {})


class Idle:
    """`count` kept-alive connections that each got one answer and then say nothing."""

    def __init__(self, port, count, path="/small"):
        self.sockets = []
        request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        try:
            for _ in range(count):
                it = socket.create_connection((ADDRESS, port), timeout=5)
                self.sockets.append(it)
                it.sendall(request)
                self._answer(it)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _answer(it):
        data = b""
        while b"\r\n\r\n" not in data:
            more = it.recv(65536)
            if not more:
                raise RuntimeError("closed before an answer")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {head[:40]!r}")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        while len(body) < length:
            more = it.recv(65536)
            if not more:
                raise RuntimeError("closed within an answer")
            body += more

    def still_open(self):
        """How many the proxy has not closed."""
        poll = select.poll()
        for it in self.sockets:
            poll.register(it, select.POLLIN | select.POLLRDHUP)
        return len(self.sockets) - len(poll.poll(0))

    def close(self):
        for it in self.sockets:
            it.close()
        self.sockets = []
