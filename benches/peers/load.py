"""Load on the client's core: what is sent, and how much was answered. Measures nothing of the proxy."""

import re
import select
import socket
import subprocess
from dataclasses import dataclass

from peers import ADDRESS, CLIENT_CORE, pinned, program


@dataclass(frozen=True)
class Answered:
    requests: int
    failed: int
    seconds: float


def wrk(port, path, seconds, connections=64, headers=()):
    """Closed loop: each connection sends the next request when the last is answered."""
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    for it in headers:
        command += ["-H", it]
    out = subprocess.run(
        pinned(CLIENT_CORE, [*command, f"http://{ADDRESS}:{port}{path}"]), capture_output=True, text=True, check=False)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", out.stdout)
    if not found:
        raise RuntimeError(f"wrk: {out.stdout}{out.stderr}")
    failed = sum(int(it) for it in re.findall(r"(?:connect|read|write|timeout) (\d+)", out.stdout))
    failed += sum(int(it) for it in re.findall(r"Non-2xx or 3xx responses: (\d+)", out.stdout))
    return Answered(int(found[1]), failed, float(found[2]) / (1000 if found[3] == "ms" else 1))


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
            body += it.recv(65536)

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
