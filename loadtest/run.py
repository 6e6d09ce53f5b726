"""Runs the k6 scripts one after the other, each with the publisher that it needs beside it.

Ends with status 1 if a threshold was crossed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# When k6 has gone, the publisher has nobody to publish for.
PUBLISHER_PATIENCE = 60


@dataclass
class Test:
    """One script: what it is told, and what is published meanwhile."""

    script: str
    settings: dict[str, str]
    publisher: list[str] | None = None


FULL = [
    Test("connect", {"CLIENTS": "1000", "DURATION": "10s", "HOLD": "5s"}),
    Test("fanout", {"CLIENTS": "500"}, ["--count", "600", "--rate", "20"]),
    Test(
        "channels",
        {"CLIENTS": "500", "CHANNELS": "100"},
        ["--channels", "100", "--count", "60", "--rate", "200"],
    ),
    Test("polling", {"CLIENTS": "100"}, ["--count", "300", "--rate", "10"]),
    Test("churn", {"CLIENTS": "200", "DURATION": "30s"}),
    Test("slow", {"CLIENTS": "100"}, ["--count", "200", "--rate", "20", "--bytes", "16384"]),
]

# The same in a minute, on a machine that does other things too.
SHORT_LATENCY = "5s"
SHORT = [
    Test("connect", {"CLIENTS": "40", "DURATION": "1s", "HOLD": "500ms"}),
    Test(
        "fanout",
        {"CLIENTS": "20", "RAMP": "500ms", "DURATION": "30s"},
        ["--count", "100", "--rate", "50"],
    ),
    Test(
        "channels",
        {"CLIENTS": "20", "CHANNELS": "10", "RAMP": "500ms", "DURATION": "30s"},
        ["--channels", "10", "--count", "20", "--rate", "100"],
    ),
    Test(
        "polling", {"CLIENTS": "5", "DURATION": "30s"}, ["--count", "50", "--rate", "25"]
    ),
    Test("churn", {"CLIENTS": "10", "DURATION": "2s", "STAY": "200ms"}),
    Test(
        "slow",
        {"CLIENTS": "10", "SLOW": "2", "STALL": "8s", "RAMP": "500ms", "DURATION": "30s"},
        ["--count", "100", "--rate", "25", "--bytes", "32768"],
    ),
]


def main() -> int:
    """Runs the command line."""
    options = parse()
    failed = [
        test.script
        for test in (SHORT if options.short else FULL)
        if test.script in options.only and not run(test, options)
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8111", help="of the server")
    parser.add_argument("--redis-url", default="redis://localhost:6379", help="where to publish")
    parser.add_argument("--short", action="store_true", help="small and within a minute")
    parser.add_argument("--k6", default=k6(), help="the program")
    names = [test.script for test in FULL]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="scripts to run")
    return parser.parse_args()


def k6() -> str:
    """The k6 beside this Python, where `make deps` installs it, or the one in the path."""
    beside = Path(sys.executable).parent / "k6"
    return str(beside) if beside.exists() else shutil.which("k6") or "k6"


def run(test: Test, options: argparse.Namespace) -> bool:
    """Runs one script to its end. True if it kept all its thresholds."""
    print(f"== {test.script}", flush=True)
    # Each has a channel of its own, so that nobody is taken for a listener of the one before.
    channel = f"loadtest-{test.script}"
    settings = {"URL": options.url, "CHANNEL": channel, **test.settings}
    if options.short:
        settings["LATENCY"] = SHORT_LATENCY
    script = [options.k6, "run", "--quiet", "--no-usage-report", f"{HERE / test.script}.js"]
    with subprocess.Popen(script, env={**os.environ, **settings}) as clients:
        publisher = None
        if test.publisher is not None:
            command = [sys.executable, str(HERE / "publish.py"), "--channel", channel]
            command += ["--redis-url", options.redis_url, *test.publisher]
            publisher = subprocess.Popen(command)
        kept = clients.wait() == 0
        if publisher is None:
            return kept
        try:
            return publisher.wait(PUBLISHER_PATIENCE) == 0 and kept
        except subprocess.TimeoutExpired:
            publisher.kill()
            return False


if __name__ == "__main__":
    sys.exit(main())
