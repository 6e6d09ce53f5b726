"""Runs a program to which the system refuses io_uring, as container runtimes do."""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
IO_URING_SETUP = 425
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | 1  # with EPERM

# Load the number of the system call; if it is that one, refuse, otherwise allow.
INSTRUCTIONS = [
    (0x20, 0, 0, 0),
    (0x15, 0, 1, IO_URING_SETUP),
    (0x06, 0, 0, REFUSE),
    (0x06, 0, 0, ALLOW),
]
FILTER = b"".join(struct.pack("HBBI", *instruction) for instruction in INSTRUCTIONS)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(INSTRUCTIONS), FILTER)
for words in (
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
):
    if libc.prctl(*words) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
