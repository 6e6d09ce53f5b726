"""Rosters: who is online, blocking and with asyncio."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
import redis
from server import Server
from support import RedisServer, eventually

import womack.aio
from womack._roster import Missing
from womack.roster import Roster

Calls = list[tuple[str, str]]


class BlockingDaemon:
    """A roster that runs in a thread."""

    def __init__(self, calls: Calls, roster_class: Any = Roster, **options: Any) -> None:
        """Returns when it runs and has looked at the servers' records."""
        self.roster = roster_class(
            on_signed_in=lambda user_id: calls.append(("in", user_id)),
            on_signed_out=lambda user_id: calls.append(("out", user_id)),
            **options,
        )
        self._reconciled = threading.Event()
        reconcile = self.roster.reconcile

        def reconcile_and_say_so() -> None:
            reconcile()
            self._reconciled.set()

        self.roster.reconcile = reconcile_and_say_so
        self._thread = threading.Thread(target=self.roster.run, daemon=True)
        self._thread.start()
        assert self._reconciled.wait(10)

    def stop(self) -> None:
        """Ends it."""
        self.roster.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


class AsyncioDaemon:
    """An asyncio roster whose loop runs in a thread."""

    def __init__(self, calls: Calls, roster_class: Any = womack.aio.Roster, **options: Any) -> None:
        """Returns when it runs and has looked at the servers' records."""
        self._calls = calls
        self._options = options
        self._reconciled = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._reconciled.wait(10)

    def stop(self) -> None:
        """Ends it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        async def on_signed_in(user_id: str) -> None:
            self._calls.append(("in", user_id))

        roster: Any = womack.aio.Roster(
            on_signed_in=on_signed_in,
            on_signed_out=lambda user_id: self._calls.append(("out", user_id)),
            **self._options,
        )
        reconcile = roster.reconcile

        async def reconcile_and_say_so() -> None:
            await reconcile()
            self._reconciled.set()

        roster.reconcile = reconcile_and_say_so
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(roster.run())
        try:
            await self._task
        except asyncio.CancelledError:
            await roster.aclose()


@pytest.fixture(autouse=True)
def connection(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A connection of the stand-in server's own, to an empty Redis."""
    with redis_server.connect() as connection:
        connection.flushdb()
        yield connection


@pytest.fixture
def calls() -> Calls:
    """Who signed in and out."""
    return []


@pytest.fixture(params=[BlockingDaemon, AsyncioDaemon])
def start(request: pytest.FixtureRequest, calls: Calls) -> Iterator[Callable[..., Any]]:
    """Starts a daemon of either kind; it ends with the test at the latest."""
    daemons: list[Any] = []

    def start(**options: Any) -> Any:
        daemons.append(request.param(calls, **options))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.stop()


Start = Callable[..., Any]
ANN = {"user_id": "ann"}
BOB = {"user_id": "bob", "more": [1]}


def test_first_session_signs_in_and_last_one_out(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server = Server(connection)
    start()

    server.subscribe("tab1", "a", ANN)
    server.subscribe("tab1", "b", ANN)
    server.subscribe("tab2", "a", ANN)
    server.subscribe("tab3", "a", BOB)
    eventually(lambda: len(calls) == 2)
    assert Roster().get_online_users() == {"ann", "bob"}

    server.unsubscribe("tab1", "a")
    server.unsubscribe("tab2", "a")
    server.unsubscribe("tab3", "a")
    eventually(lambda: len(calls) == 3)
    assert (Roster().is_user_online("ann"), Roster().is_user_online("bob")) == (True, False)

    server.unsubscribe("tab1", "b")
    eventually(lambda: len(calls) == 4)
    assert calls == [("in", "ann"), ("in", "bob"), ("out", "bob"), ("out", "ann")]
    assert Roster().get_online_users() == set()


def test_what_comes_twice_counts_once(connection: redis.Redis, start: Start, calls: Calls) -> None:
    server = Server(connection)
    start()

    for _ in range(2):
        server.subscribe("tab1", "a", ANN)
    for _ in range(2):
        server.unsubscribe("tab1", "a")
    server.subscribe("tab2", "a", ANN)

    eventually(lambda: len(calls) == 3)
    assert calls == [("in", "ann"), ("out", "ann"), ("in", "ann")]


@pytest.mark.parametrize(
    "meta", [None, 1, "ann", [], {}, {"user_id": None}, {"user_id": ""}, {"user_id": [1]}]
)
def test_a_session_without_a_user_is_nobodys(
    connection: redis.Redis, start: Start, calls: Calls, meta: Any
) -> None:
    server = Server(connection)
    start()

    server.subscribe("tab1", "a", meta)
    server.unsubscribe("tab1", "a")
    server.subscribe("tab2", "a", {"user_id": 7})

    eventually(lambda: bool(calls))
    assert calls == [("in", "7")]
    assert Roster().is_user_online(7)


def test_the_member_of_meta_may_have_another_name(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server = Server(connection)
    start(user_meta_key="login", roster_key="other")

    server.subscribe("tab1", "a", {"login": "ann", "user_id": "x"})

    eventually(lambda: bool(calls))
    assert calls == [("in", "ann")]
    assert Roster(roster_key="other").get_online_users() == {"ann"}
    assert Roster().get_online_users() == set()


def test_users_may_be_found_in_a_way_of_ones_own(connection: redis.Redis, calls: Calls) -> None:
    class ChatRoster(Roster):
        def get_user_id(self, data: dict[str, Any]) -> str | None:
            return data["meta"] if data["channel"] == "chat" else None

    server = Server(connection)
    server.subscribe("tab0", "chat", "eve", silently=True)
    server.subscribe("tab0", "news", "eve", silently=True)
    daemon = BlockingDaemon(calls, ChatRoster)

    server.subscribe("tab1", "news", "ann")
    server.subscribe("tab1", "chat", "ann")

    eventually(lambda: len(calls) == 2)
    daemon.stop()
    assert calls == [("in", "eve"), ("in", "ann")]


def test_a_daemon_that_was_away_makes_up_for_it(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server = Server(connection)
    daemon = start()
    for session, meta in [("tab1", ANN), ("tab2", BOB)]:
        server.subscribe(session, "a", meta)
    eventually(lambda: len(calls) == 2)
    daemon.stop()
    calls.clear()

    server.unsubscribe("tab1")
    server.subscribe("tab3", "a", {"user_id": "eve"})
    start(ttl=0.0)

    eventually(lambda: len(calls) == 2)
    assert sorted(calls) == [("in", "eve"), ("out", "ann")]
    assert Roster().get_online_users() == {"bob", "eve"}


def test_whom_no_server_knows_any_more_is_signed_out_in_time(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server, other = Server(connection), Server(connection, "0000000b")
    server.subscribe("tab1", "a", ANN, silently=True)
    other.subscribe("tab2", "a", BOB, silently=True)
    start(ttl=0.2)
    assert sorted(calls) == [("in", "ann"), ("in", "bob")]

    other.die()
    eventually(lambda: len(calls) == 3)
    assert calls[2] == ("out", "bob")

    server.unsubscribe("tab1", silently=True)
    eventually(lambda: len(calls) == 4)
    assert calls[3] == ("out", "ann")


def test_another_user_in_the_same_session_takes_over(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server = Server(connection)
    start(ttl=0.2)

    server.subscribe("tab1", "a", ANN)
    eventually(lambda: len(calls) == 1)
    server.subscribe("tab1", "a", BOB, silently=True)

    eventually(lambda: len(calls) == 3)
    assert calls == [("in", "ann"), ("out", "ann"), ("in", "bob")]


def test_a_callback_that_fails_is_logged(
    connection: redis.Redis, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingRoster(Roster):
        def on_signed_in(self, user_id: str) -> None:
            super().on_signed_in(user_id)
            raise RuntimeError("no")

    server = Server(connection)
    daemon = BlockingDaemon(calls, FailingRoster)

    server.subscribe("tab1", "a", ANN)
    server.subscribe("tab2", "a", BOB)

    eventually(lambda: len(calls) == 2)
    daemon.stop()
    assert "on_signed_in failed for user ann" in caplog.text


def test_records_that_cannot_be_read_are_passed_over(
    connection: redis.Redis, start: Start, calls: Calls
) -> None:
    server = Server(connection)
    server.subscribe("tab1", "a", ANN, silently=True)
    anything: Any = connection
    for field, value in [("x", "1,{}"), ("s,/,a", "1"), ("s,/,b", "1,{"), ("s,/,c", "")]:
        anything.hset(server._record, field, value)

    start()

    assert calls == [("in", "ann")]


def test_places_expire_when_they_have_been_missing_for_long() -> None:
    missing = Missing(10)

    assert missing.expired({"a", "b"}, now=0) == []
    assert missing.expired({"a", "c"}, now=9) == []
    assert missing.expired({"a", "b", "c"}, now=10) == ["a"]
    assert missing.expired({"b", "c"}, now=19) == ["c"]


def test_module_is_a_daemon(connection: redis.Redis, redis_server: RedisServer) -> None:
    server = Server(connection)
    with daemon(redis_server) as process:
        server.subscribe("tab1", "a", ANN, silently=True)
        eventually(lambda: Roster().is_user_online("ann"))
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
        assert process.stderr is not None
        log = process.stderr.read()

    assert process.returncode == 0
    assert "signed in: ann" in log


def test_daemon_runs_a_class_of_ones_own(
    connection: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(
        "import womack.roster\n"
        "class Online(womack.roster.Roster):\n"
        "    def on_signed_in(self, user_id):\n"
        "        print('hello', user_id, flush=True)\n"
    )
    server = Server(connection)
    with daemon(redis_server, "shop:Online", directory=tmp_path) as process:
        server.subscribe("tab1", "a", ANN, silently=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "hello ann\n"
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)

    assert process.returncode == 0


@contextmanager
def daemon(
    redis_server: RedisServer, *arguments: str, directory: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Runs `python -m womack.roster`, which is killed if the test does not end it."""
    url = f"redis://127.0.0.1:{redis_server.port}"
    command = [sys.executable, "-m", "womack.roster", "--redis-url", url, "--ttl", "0.2"]
    process = subprocess.Popen(  # noqa: S603 - no input from outside
        [*command, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory or "")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)
