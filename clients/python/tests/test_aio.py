"""What belongs to the asyncio publisher alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.asyncio
from conftest import Listen
from support import RedisServer

from womack.aio import Publisher

pytestmark = pytest.mark.anyio


def open_connections(connection: redis.asyncio.Redis) -> int:
    """Returns how many of a client's idle connections are still open."""
    pool: Any = connection.connection_pool
    return sum(idle.is_connected for idle in pool._available_connections)


async def test_tasks_share_a_publisher(listen: Listen) -> None:
    listener = listen("a")

    async with Publisher() as wm:
        counts = await asyncio.gather(*(wm.publish("a", n) for n in range(8)))

    assert counts == [1] * 8
    assert sorted(listener.message()[1]["data"] for _ in counts) == list(range(8))


async def test_order_of_awaited_messages_is_kept(listen: Listen) -> None:
    listener = listen("a")

    async with Publisher() as wm:
        for n in range(20):
            await wm.publish("a", n)

    assert [listener.message()[1]["data"] for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("decode_responses", [False, True])
async def test_connection_of_the_caller_is_used_and_left_open(
    redis_server: RedisServer, listen: Listen, decode_responses: bool
) -> None:
    listener = listen("a", "ç")
    connection = redis.asyncio.Redis(
        host="127.0.0.1",
        port=redis_server.port,
        decode_responses=decode_responses,
    )

    async with Publisher(connection, "womack:ns:default") as wm:
        assert wm.redis is connection
        assert await wm.publish(["a", "ç"], "é") == 2

    assert listener.message() == ("womack:ns:default:a", {"data": "é"})
    assert listener.message() == ("womack:ns:default:ç", {"data": "é"})
    assert open_connections(connection) == 1
    await connection.aclose()


async def test_aclose_ends_the_own_connection(redis_server: RedisServer) -> None:
    wm = Publisher()
    await wm.publish("a", 1)
    assert open_connections(wm.redis) == 1

    await wm.aclose()

    assert open_connections(wm.redis) == 0


async def test_aclose_may_come_twice_or_before_any_message() -> None:
    wm = Publisher()

    await wm.aclose()
    await wm.aclose()


async def test_async_with_closes_on_an_error() -> None:
    async def fail(publisher: Publisher) -> None:
        async with publisher as wm:
            await wm.publish("a", 1)
            await wm.publish([], 1)

    publisher = Publisher()
    with pytest.raises(ValueError, match="no channel"):
        await fail(publisher)

    assert open_connections(publisher.redis) == 0


async def test_blocking_connection_is_refused() -> None:
    connection: Any = redis.Redis()

    with pytest.raises(TypeError, match=r"use womack\.publish\.Publisher"):
        Publisher(connection)
