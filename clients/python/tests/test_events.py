"""Listening to server events, blocking and with asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import redis
import redis.asyncio
from server import EVENTS_KEY, Server
from support import RedisServer, eventually

import womack.aio
import womack.events
from womack.events import Event

Listen = Callable[..., "Heard"]


class Heard:
    """Collects the events of a listener that runs in a thread."""

    def __init__(self, connection: redis.Redis, listen: Callable[[Heard], None]) -> None:
        """Returns when it listens."""
        self._redis: Any = connection
        self.events: list[Event] = []
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=listen, args=(self,), daemon=True)
        self._thread.start()
        self.listens()

    def listens(self) -> None:
        """Waits until Redis knows the listener."""
        channel = f"{EVENTS_KEY}:custom"
        eventually(lambda: self._redis.pubsub_numsub(channel)[0][1] > 0)

    def until(self, count: int) -> list[Event]:
        """Waits for so many events in all, and returns them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, timeout=10)
            return list(self.events)

    def take(self, event: Event) -> None:
        """Takes an event from the listener."""
        with self.changed:
            self.events.append(event)
            self.changed.notify()


def blocking(heard: Heard) -> None:
    for event in womack.events.Listener():
        heard.take(event)
        if event.kind == "custom" and event.data["data"] == "end":
            return


def with_asyncio(heard: Heard) -> None:
    async def main() -> None:
        listener = womack.aio.Listener()
        try:
            async for event in listener:
                heard.take(event)
                if event.kind == "custom" and event.data["data"] == "end":
                    return
        finally:
            await listener.aclose()

    asyncio.run(main())


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A connection of the stand-in server's own, to an empty Redis."""
    with redis_server.connect() as connection:
        connection.flushdb()
        yield connection


@pytest.fixture(params=[blocking, with_asyncio])
def heard(request: pytest.FixtureRequest, connection: redis.Redis) -> Iterator[Heard]:
    """What either listener hears; it ends with the test."""
    heard = Heard(connection, request.param)
    yield heard
    Server(connection).publish("custom", "s", data="end")
    heard._thread.join(10)
    assert not heard._thread.is_alive()


def test_events_unpack_and_have_properties(connection: redis.Redis, heard: Heard) -> None:
    server = Server(connection)

    server.subscribe("s1", "a:b", {"user_id": 42})
    server.publish("custom", "s1", meta=None, channel=None, data=[1, "ö"])
    server.unsubscribe("s1", "a:b")

    subscribe, custom, unsubscribe = heard.until(3)
    kind, data = subscribe
    assert (kind, data["channel"], data["meta"]) == ("subscribe", "a:b", {"user_id": 42})
    assert (subscribe.session_id, subscribe.channel, subscribe.meta) == (
        "s1",
        "a:b",
        {"user_id": 42},
    )
    assert (subscribe.namespace, subscribe.node) == ("/", server.node)
    assert (custom.kind, custom.channel, custom.data["data"]) == ("custom", None, [1, "ö"])
    assert unsubscribe.kind == "unsubscribe"


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", '{"session_id": 1}', "[" * 100_000])
def test_what_is_no_event_is_passed_over(connection: redis.Redis, heard: Heard, text: str) -> None:
    server = Server(connection)

    server.publish_text("subscribe", text)
    server.publish("custom", "s", data="after")

    assert [event.data["data"] for event in heard.until(1)] == ["after"]


def test_a_listener_comes_back_when_redis_does(connection: redis.Redis, heard: Heard) -> None:
    server = Server(connection)
    anything: Any = connection

    anything.client_kill_filter(_type="pubsub")
    heard.listens()
    server.publish("custom", "s", data="after")

    assert heard.until(1)[0].data["data"] == "after"


def test_connections_of_the_other_kind_are_refused() -> None:
    with pytest.raises(TypeError, match=r"womack\.aio\.Listener"):
        womack.events.Listener(redis.asyncio.Redis())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"womack\.events\.Listener"):
        womack.aio.Listener(redis.Redis())  # type: ignore[arg-type]
