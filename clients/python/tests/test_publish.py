"""What belongs to the blocking publisher alone."""

from __future__ import annotations

import threading
from typing import Any
from unittest import mock

import pytest
import redis
import redis.asyncio
from conftest import Listen
from support import RedisServer

from womack.config import config
from womack.publish import Publisher


def test_making_a_publisher_needs_no_redis() -> None:
    config.redis_host = "nowhere.invalid"

    wm = Publisher()

    assert (wm.key, isinstance(wm.redis, redis.Redis)) == ("womack:ns:default", True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"decode_responses": True},
        {"encoding": "latin-1"},
        {"protocol": 3},
        {"db": 1},
    ],
)
def test_connection_of_the_caller_is_used(
    redis_server: RedisServer, listen: Listen, options: dict[str, Any]
) -> None:
    listener = listen("größe", "b")

    with redis_server.connect(**options) as connection:
        wm = Publisher(connection, "womack:ns:default")

        assert wm.redis is connection
        assert wm.publish("größe", "hé😀") == 1
        assert wm.publish(["größe", "b"], "é") == 2

    assert listener.message() == ("womack:ns:default:größe", {"data": "hé😀"})
    assert listener.message() == ("womack:ns:default:größe", {"data": "é"})
    assert listener.message() == ("womack:ns:default:b", {"data": "é"})


def test_several_channels_are_one_write(listen: Listen) -> None:
    listener = listen("channel 0")
    wm = Publisher()
    wm.publish("connects", 0)

    connection = redis.connection.Connection
    send = connection.send_packed_command
    with mock.patch.object(connection, "send_packed_command", autospec=True, side_effect=send) as s:
        wm.publish([f"channel {n}" for n in range(50)], "x")

    (call,) = s.call_args_list
    written = b"".join(call.args[1])
    assert (written.count(b"PUBLISH"), b"MULTI" in written) == (50, False)
    assert listener.message()[1] == {"data": "x"}


def test_threads_share_a_publisher(listen: Listen) -> None:
    listener = listen("a")
    wm = Publisher()
    threads = [threading.Thread(target=wm.publish, args=("a", n)) for n in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(listener.message()[1]["data"] for _ in threads) == list(range(8))


def test_cluster_publishes(cluster: RedisServer) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=cluster.port) as connection:
        wm = Publisher(connection)

        assert wm.publish("a", 1) == 0
        assert wm.publish(["a", "b"], 1) == 0


@pytest.mark.anyio
async def test_asyncio_connection_is_refused() -> None:
    connection: Any = redis.asyncio.Redis()

    with pytest.raises(TypeError, match=r"use womack\.aio\.Publisher"):
        Publisher(connection)


def test_calls_are_those_that_tests_for_the_original_expect() -> None:
    with mock.patch("redis.StrictRedis") as strict_redis:
        Publisher().publish("channel", {"a": 1})

    strict_redis.assert_called_once_with(host="127.0.0.1", port=config.redis_port)
    strict_redis.return_value.publish.assert_called_once_with(
        "womack:ns:default:channel", '{"data": {"a": 1}}'
    )
