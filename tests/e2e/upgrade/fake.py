"""Takes part in a handover up to a point. The point is this file's name: see `act`.

ready-then-die    says ready, is let in, and ends
nonsense          says something else
newer             speaks another version
ready-then-wait   says ready, is let in, says so by a file `released` beside this one, and ends a second later
"""

import json
import os
import socket
import sys
import time

act = os.path.basename(sys.argv[0])
old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=0)
offer = json.loads(old.recv(1 << 16))
assert offer["say"] == "offer" and offer["listeners"], offer
print("the fake one was here", file=sys.stderr, flush=True)
if act == "nonsense":
    old.send(b"\xff\xfe no message")
elif act == "newer":
    old.send(b'{"say":"ready","v":2}')
else:
    old.send(json.dumps({"say": "ready", "pid": os.getpid(), "version": "9"}).encode())
released = json.loads(old.recv(1 << 16))
assert released["say"] == "released", released
if act == "ready-then-wait":
    open(os.path.join(os.path.dirname(sys.argv[0]), "released"), "w").close()
    time.sleep(1)
sys.exit(7)
