"""A web service for tests. Arguments: port, ledger.

GET /            its pid
GET /page        the same text from every instance
GET /healthz     ok, or 500 after POST /sick
GET /slow/MS     answers after that many milliseconds
GET /burn/MS     the same, and is busy meanwhile
POST /orders/N   writes "N pid" to the ledger, then answers N
POST /sick /well /hang
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

mood = "well"
ledger = os.open(sys.argv[2], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and body leave together: an answer that is cut off between the two cannot be saved by anybody.
    wbufsize = -1

    def answer(self, status, text):
        if mood == "hang":
            time.sleep(3600)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(*((500, "sick, as told") if mood == "sick" else (200, "ok")))
        elif self.path == "/page":
            self.answer(200, "the page")
        elif self.path.startswith("/slow/"):
            time.sleep(int(self.path[6:]) / 1000)
            self.answer(200, "slow but whole")
        elif self.path.startswith("/burn/"):
            until = time.monotonic() + int(self.path[6:]) / 1000
            while time.monotonic() < until:
                pass
            self.answer(200, "busy but whole")
        else:
            self.answer(200, str(os.getpid()))

    def do_POST(self):
        global mood
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/orders/"):
            number = self.path[8:]
            os.write(ledger, f"{number} {os.getpid()}\n".encode())
            self.answer(200, number)
        else:
            word = self.path[1:]
            if word != "hang":
                mood = word
            self.answer(200, word)
            mood = word

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


print(f"listening on {sys.argv[1]}", flush=True)
Server((os.environ.get("BIND", "127.0.0.1"), int(sys.argv[1])), Handler).serve_forever()
