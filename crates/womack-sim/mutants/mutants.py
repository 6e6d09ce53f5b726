"""Undoes mends one after the other, and tells whether a check notices each.

A patch beside this file is a mutant: it brings one fault back. The lines before its diff say which
fault, and name in `caught-by:` the checks that have to fail with it: `simulate`, which has to find
a broken promise within so many steps, or the `cargo test` of one test by its whole name. A mutant
that does not apply or does not compile proves nothing, and neither does a check that fails without
any mutant; those come first.

Everything happens in a copy of the working tree below `target/mutants`, whose builds are kept for
the next run. Tests in `tests/` drive the server as a program, so they are built once, without a
mutant, and only the program is built with each.

The status is 1 if a mutant survives, or if something keeps this from being known.
"""

from __future__ import annotations

import argparse
import enum
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "crates" / "womack" / "tests"))
import bounded  # noqa: E402

PATCHES = Path(__file__).resolve().parent
TREE = REPOSITORY / "target" / "mutants" / "tree"
BUILDS = REPOSITORY / "target" / "mutants" / "builds"
SIMULATE = "simulate"
# A mutant has to break a promise before so many steps of the simulation.
STEPS = 100_000
# Characters of a broken promise that are shown: some name many channels.
SHOWN_CHARACTERS = 60
SEED = re.compile(r"^seed (\d+): (\d+) steps,", re.MULTILINE)
VIOLATION = re.compile(r"^seed (\d+): violation at step (\d+): (.*)$", re.MULTILINE)


class Status(enum.Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"


@dataclass(frozen=True)
class Outcome:
    """How a check ended, and how that shows."""

    status: Status
    detail: str


@dataclass(frozen=True)
class Mutant:
    """A patch, and the checks that have to fail with it."""

    name: str
    path: Path
    checks: tuple[str, ...]
    files: tuple[str, ...]


class Broken(Exception):
    """Something other than a check has failed, so that nothing is known."""


def read(path: Path) -> Mutant:
    """Reads a patch."""
    head, separator, diff = path.read_text().partition("\ndiff --git ")
    checks = re.findall(r"^caught-by: (.+)$", head, re.MULTILINE)
    files = re.findall(r"^\+\+\+ b/(.+)$", separator + diff, re.MULTILINE)
    if not checks or not files:
        raise Broken(f"{path.name} names no check or changes no file")
    return Mutant(path.stem, path, tuple(checks), tuple(files))


def copy_tree() -> None:
    """Makes the copy what the working tree is. Files that are alike keep their times, so that what
    was built of them is not built again."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    names = {name for name in listed.stdout.split("\0") if name}
    names = {name for name in names if os.path.lexists(REPOSITORY / name)}
    for name in names:
        source, target = REPOSITORY / name, TREE / name
        if source.is_symlink():
            if not target.is_symlink() or target.readlink() != source.readlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                target.symlink_to(source.readlink())
            continue
        content = source.read_bytes()
        if target.is_file() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        shutil.copymode(source, target)
    for folder, _, files in os.walk(TREE):
        for file in files:
            path = Path(folder) / file
            if str(path.relative_to(TREE)) not in names:
                path.unlink()


def apply(mutant: Mutant) -> None:
    """Applies a patch to the copy."""
    # The copy lies in a repository that knows nothing of it.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(TREE.parent)}
    applied = subprocess.run(
        ["git", "apply", mutant.path],
        cwd=TREE,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    if applied.returncode != 0:
        raise Broken(f"does not apply: {applied.stderr.strip()}")


def build(arguments: list[str]) -> list[Path]:
    """Builds in the copy; returns the programs or test binaries that come of it."""
    command = ["cargo", *arguments, "--quiet", "--message-format=json-render-diagnostics"]
    built = subprocess.run(
        command,
        cwd=TREE,
        env={**os.environ, "CARGO_TARGET_DIR": str(BUILDS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if built.returncode != 0:
        raise Broken(f"does not compile: {built.stderr.strip()}")
    messages = map(json.loads, built.stdout.splitlines())
    artifacts = [message for message in messages if message["reason"] == "compiler-artifact"]
    is_test = arguments[0] == "test"
    return [
        Path(artifact["executable"])
        for artifact in artifacts
        if artifact["executable"] is not None and artifact["profile"]["test"] == is_test
    ]


def run(command: list[str | Path], folder: Path, environment: dict[str, str]) -> tuple[str, int]:
    """Runs a check; returns its output and its status."""
    output, status = bounded.run(command, folder, {**os.environ, **environment})
    if status is None:
        raise Broken(f"still running after {bounded.RUN_SECONDS} s")
    return output, status


def simulate() -> Outcome:
    """Runs seeds for as many steps as a mutant has."""
    [program] = build(["build", "--package", "womack-sim", "--bin", "simulate"])
    output, status = run([program, "--as-is", "--seeds", str(STEPS), "--steps", str(STEPS)], TREE, {})
    violation = VIOLATION.search(output)
    steps = {seed: int(count) for seed, count in SEED.findall(output)}
    if violation is None:
        if status != 0:
            raise Broken(f"the simulation broke off: {output.strip().splitlines()[-1:]}")
        return Outcome(Status.PASSED, f"{sum(steps.values()):,} steps")
    seed, step, text = violation.groups()
    # Seeds run one after the other, and the first violation ends the run.
    count = sum(steps.values()) - steps[seed] + int(step)
    detail = f"{count:,} steps, seed {seed}: {text[:SHOWN_CHARACTERS]}"
    return Outcome(Status.FAILED if count <= STEPS else Status.PASSED, detail)


class Tests:
    """Runs single tests."""

    def __init__(self) -> None:
        """Nothing is built yet."""
        self._integration: dict[tuple[str, ...], Path] = {}

    def run(self, check: str) -> Outcome:
        """Runs the one test that a check names."""
        words = shlex.split(check)
        if words[:2] != ["cargo", "test"] or "-p" not in words:
            raise Broken(f"is no check: {check}")
        arguments, name = words[2:-1], words[-1]
        package = arguments[arguments.index("-p") + 1]
        environment = {}
        if "--test" in arguments:
            binary = self._integration_tests(tuple(arguments))
            [program] = build(["build", "--package", package, "--bin", package])
            environment[f"CARGO_BIN_EXE_{package}"] = str(program)
        else:
            [binary] = build(["test", *arguments, "--no-run"])
        output, _ = run([binary, name, "--exact"], TREE / "crates" / package, environment)
        found = re.search(rf"^test {re.escape(name)} \.\.\. (ok|FAILED)$", output, re.MULTILINE)
        if found is None:
            raise Broken(f"{name} did not run to its end")
        return Outcome(Status.PASSED if found[1] == "ok" else Status.FAILED, name)

    def _integration_tests(self, arguments: tuple[str, ...]) -> Path:
        if arguments not in self._integration:
            [self._integration[arguments]] = build(["test", *arguments, "--no-run"])
        return self._integration[arguments]


def examine(check: str, tests: Tests) -> Outcome:
    """Runs a check in the copy as it is."""
    try:
        return simulate() if check == SIMULATE else tests.run(check)
    except Broken as broken:
        return Outcome(Status.BROKEN, str(broken))


def passes(checks: Iterable[str], tests: Tests) -> bool:
    """Whether each check passes as long as no mend is undone."""
    ok = True
    for check in checks:
        outcome = examine(check, tests)
        detail = "" if check.endswith(outcome.detail) else f", {outcome.detail}"
        print(f"without a mutant: {check}: {outcome.status.value}{detail}", flush=True)
        ok = ok and outcome.status == Status.PASSED
    return ok


def prove(mutant: Mutant, tests: Tests) -> list[tuple[str, Outcome]]:
    """The outcomes of a mutant's checks."""
    copy_tree()
    try:
        apply(mutant)
    except Broken as broken:
        return [(check, Outcome(Status.BROKEN, str(broken))) for check in mutant.checks]
    return [(check, examine(check, tests)) for check in mutant.checks]


def table(rows: list[tuple[str, str, str, str]]) -> str:
    """The rows with their columns below one another."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
    return "\n".join(lines)


def main() -> int:
    """Parses the arguments and does it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names of mutants")
    given = parser.parse_args()
    try:
        mutants = [read(path) for path in sorted(PATCHES.glob("*.patch"))]
    except Broken as broken:
        sys.exit(str(broken))
    mutants = [mutant for mutant in mutants if any(part in mutant.name for part in given.only)]
    if not mutants:
        sys.exit(f"no mutant has {' or '.join(given.only)} in its name")
    # Neighbours change the same crate, and the others need not be built between them.
    mutants.sort(key=lambda mutant: (mutant.files, mutant.name))

    tests = Tests()
    copy_tree()
    if not passes(sorted({check for mutant in mutants for check in mutant.checks}), tests):
        print("a check fails without a mutant, so its failure with one proves nothing")
        return 1
    words = {Status.FAILED: "caught", Status.PASSED: "SURVIVES", Status.BROKEN: "BROKEN"}
    rows, survivors = [], 0
    for mutant in mutants:
        for check, outcome in prove(mutant, tests):
            survivors += outcome.status != Status.FAILED
            by = SIMULATE if check == SIMULATE else check.rpartition(" ")[0]
            row = (mutant.name, by, words[outcome.status])
            print(": ".join((*row, outcome.detail)), flush=True)
            # The compiler has more to say than a table has room for.
            rows.append((*row, outcome.detail.partition("\n")[0]))
    copy_tree()
    heads = ("mutant", "caught by", "result", "steps or test")
    print("\n" + table([heads, *sorted(rows)]))
    print(f"{len(rows) - survivors} of {len(rows)} checks fail as they have to")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
