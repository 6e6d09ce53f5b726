"""Starts a program with a listener of this process's, as systemd does with a socket unit.

    listen_fds.py PORT PROGRAM [ARGUMENT ...]
"""

import os
import socket
import sys

FIRST_FD = 3

port, program, *arguments = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", int(port)))
if listener.fileno() == FIRST_FD:
    os.set_inheritable(FIRST_FD, True)
else:
    os.dup2(listener.fileno(), FIRST_FD)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="womack.socket")
os.execvp(program, [program, *arguments])
