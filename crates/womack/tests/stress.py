"""Runs tests many times beside two busy processes, and tells how often they passed.

It builds the tests once. Each run is the one command that `cargo test` would run, so a filter that
matches several tests runs them side by side as the suite does. The status is 1 if a run failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from bounded import run

REPOSITORY = Path(__file__).resolve().parents[3]


def build(package: str) -> tuple[list[Path], dict[str, str]]:
    """Builds a package's tests; returns their binaries, and the variables that they need."""
    command = ["cargo", "test", "--package", package, "--all-targets", "--no-run"]
    command.append("--message-format=json-render-diagnostics")
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit(built.returncode)
    tests, variables = [], {}
    for message in map(json.loads, built.stdout.splitlines()):
        if message["reason"] != "compiler-artifact" or message["executable"] is None:
            continue
        name = message["target"]["name"]
        if message["profile"]["test"]:
            tests.append(Path(message["executable"]))
        elif "bin" in message["target"]["kind"]:
            variables[f"CARGO_BIN_EXE_{name}"] = message["executable"]
    return tests, variables


def matches(binary: Path, words: list[str]) -> list[str]:
    """The names of a binary's tests that the filter lets through."""
    listed = subprocess.run(
        [binary, *words, "--list", "--format=terse"], stdout=subprocess.PIPE, text=True, check=True
    )
    lines = listed.stdout.splitlines()
    return [line.removesuffix(": test") for line in lines if line.endswith(": test")]


def main() -> int:
    """Parses the arguments and does it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("filter", nargs="+", help="the test, or part of the names of several")
    parser.add_argument("--exact", action="store_true", help="the filter is a test's whole name")
    parser.add_argument("--package", default="womack")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--busy", type=int, default=2, help="busy processes beside the tests")
    parser.add_argument("--shown", type=int, default=3, help="failed runs whose output is shown")
    given = parser.parse_args()

    binaries, variables = build(given.package)
    environment = {**variables, **os.environ}
    words = [*given.filter, *(["--exact"] if given.exact else [])]
    chosen = [(binary, tests) for binary in binaries if (tests := matches(binary, words))]
    if not chosen:
        sys.exit(f"no test of {given.package} matches {' '.join(given.filter)}")
    names = [name for _, tests in chosen for name in tests]
    print(f"{given.runs} runs of {len(names)} tests: {', '.join(names)}", flush=True)

    folder = REPOSITORY / "crates" / given.package
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
    failed = 0
    try:
        for number in range(1, given.runs + 1):
            runs = [run([binary, *words], folder, environment) for binary, _ in chosen]
            outputs = [output for output, status in runs if status != 0]
            if not outputs:
                continue
            failed += 1
            if failed <= given.shown:
                print(f"--- run {number} failed", *outputs, sep="\n", flush=True)
    finally:
        for process in busy:
            process.kill()
    print(f"{given.runs - failed} of {given.runs} runs passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
