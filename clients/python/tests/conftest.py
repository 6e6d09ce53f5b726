"""Fixtures: a real Redis, the configuration that names it, and listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from support import Listener, RedisServer, free_port

import womack.aio
import womack.publish
from womack.config import config

KEY = "womack:ns:default"

Listen = Callable[..., Listener]
Publish = Callable[..., int]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests; pub/sub leaves nothing behind in it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Runs asynchronous tests with asyncio alone, since redis-py knows no other."""
    return "asyncio"


@pytest.fixture(autouse=True)
def settings(redis_server: RedisServer) -> Iterator[None]:
    """Points the configuration at that Redis, and undoes what a test does to it."""
    before = dict(config)
    config.configure(redis_host="127.0.0.1", redis_port=redis_server.port)
    yield
    config.clear()
    config.update(before)


@pytest.fixture
def listen(redis_server: RedisServer) -> Iterator[Listen]:
    """Makes listeners: `listen("a", "b")`, or with a `key` other than the default."""
    connection = redis_server.connect()
    listeners: list[Listener] = []

    def make(*channels: str, key: str = KEY) -> Listener:
        listener = Listener(connection, *(f"{key}:{channel}" for channel in channels))
        listeners.append(listener)
        return listener

    yield make
    for listener in listeners:
        listener.close()
    connection.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis Cluster of a single node that owns every slot."""
    bus = str(free_port())
    server = RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus)
    with server.connect() as connection:
        connection.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    yield server
    server.stop()


@pytest.fixture(params=["blocking", "asyncio"])
def publish(request: pytest.FixtureRequest) -> Publish:
    """Publishes once, through either publisher; `_key` and `_json_default` go to the publisher."""

    def publish_blocking(*args: Any, _key: Any = None, _json_default: Any = None, **kw: Any) -> int:
        wm = womack.publish.Publisher(key=_key, json_default=_json_default)
        return wm.publish(*args, **kw)

    def publish_asyncio(*args: Any, _key: Any = None, _json_default: Any = None, **kw: Any) -> int:
        async def main() -> int:
            async with womack.aio.Publisher(key=_key, json_default=_json_default) as wm:
                return await wm.publish(*args, **kw)

        return asyncio.run(main())

    return publish_blocking if request.param == "blocking" else publish_asyncio
