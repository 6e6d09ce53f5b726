"""The publisher for ordinary, blocking code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import redis
import redis.asyncio

from ._message import JsonDefault, Message, messages
from .config import config

__all__ = ["Publisher"]


class Publisher:
    """Publishes to everybody who subscribed to a channel of a Womack server.

    >>> import womack.publish
    >>> wm = womack.publish.Publisher()
    >>> wm.publish("hello", {"hello": "world"})
    0

    Nothing is sent before the first `publish`, so a publisher can be made when a module is
    imported. Threads may share it, and processes that fork after it was made may go on using it.

    Args:
        redis_connection: the Redis to publish to. By default a new connection to the one that
            `womack.config.config` names.
        key: what stands before the channel names in Redis, by default `config.key`.
        json_default: turns values that JSON does not know into ones that it does, as the
            argument `default` of `json.dumps`.

    Attributes:
        redis: the Redis connection.
        key: the key in use.
    """

    def __init__(
        self,
        redis_connection: redis.Redis | redis.RedisCluster | None = None,
        key: str | None = None,
        *,
        json_default: JsonDefault = None,
    ) -> None:
        """See the class."""
        # An asyncio connection would return a coroutine that nobody awaits, and publish nothing.
        if isinstance(redis_connection, (redis.asyncio.Redis, redis.asyncio.RedisCluster)):
            raise TypeError("this is an asyncio connection: use womack.aio.Publisher")
        self.redis = _connect() if redis_connection is None else redis_connection
        self.key = key or config.key
        self._json_default = json_default

    def publish(self, channels: str | Iterable[str], data: Any, **options: Any) -> int:
        """Publishes data to one or more channels.

        >>> from decimal import Decimal
        >>> import womack.publish
        >>> wm = womack.publish.Publisher(json_default=str)
        >>> wm.publish(["orders", "orders:42"], {"total": Decimal("9.90")}, kind="order")
        0

        Several channels travel in one round trip to Redis. They are not a transaction.

        Args:
            channels: a channel, or several.
            data: what the subscribers get, anything that can be written as JSON.
            **options: further keys of the envelope, beside `data`. The server understands
                `except`, a session id or a list of them which must not get the message
                (`**{"except": sid}`, since `except` is a word of Python). Everything else
                travels on to the subscribers.

        Returns:
            How many Redis subscribers got it, summed over the channels. These are servers, not
            browsers: 0 means that no server has anybody who listens.

        Raises:
            ValueError: there is no channel, a channel's name is empty or reserved, or the
                message cannot be written as JSON (NaN and infinity cannot).
            TypeError: a channel is no string, or data has a type that JSON does not know.
            redis.exceptions.RedisError: Redis cannot be reached or refuses.
        """
        outgoing = messages(self.key, channels, data, options, self._json_default)
        # redis-py before version 8 types every result as one that may have to be awaited.
        connection: Any = self.redis
        if len(outgoing) == 1:
            count: int = connection.publish(*outgoing[0])
            return count
        # redis-py has no PUBLISH in the pipelines of a cluster.
        if isinstance(self.redis, redis.RedisCluster):
            return sum(connection.publish(*message) for message in outgoing)
        return sum(_publish_together(self.redis, outgoing))


def _publish_together(connection: redis.Redis, outgoing: list[Message]) -> list[Any]:
    with connection.pipeline(transaction=False) as pipeline:
        for message in outgoing:
            pipeline.publish(*message)
        return pipeline.execute()


def _connect() -> redis.Redis:
    if config.redis_url:
        return redis.Redis.from_url(config.redis_url)
    # By this name, because tests written for Womack 0.1.1 replace it.
    return redis.StrictRedis(host=config.redis_host, port=config.redis_port)
