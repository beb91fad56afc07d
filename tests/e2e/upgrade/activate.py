"""Plays systemd: opens the socket, then becomes minato with it. Arguments: address, port, program and its arguments."""

import os
import socket
import sys

listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
if listener.fileno() == 3:
    listener.set_inheritable(True)
else:
    os.dup2(listener.fileno(), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="http", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
