"""Runs a program for a bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

# A test's own deadlines are 30 s each; a program that takes this long hangs.
RUN_SECONDS = 600


def run(
    command: list[str | Path], folder: Path, environment: dict[str, str]
) -> tuple[str, int | None]:
    """Runs a program; returns its output and its status, which is `None` if it hangs."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        # The servers that it has started end with it.
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return f"{output}\nstill running after {RUN_SECONDS} s", None
    return output, process.returncode
