"""The publisher for asyncio, and the listener and the roster."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import redis
from redis.asyncio import Redis

from ._aio_events import Listener, connect
from ._aio_roster import Roster
from ._message import JsonDefault, Message, messages
from .config import config

__all__ = ["Listener", "Publisher", "Roster"]


class Publisher:
    """Publishes to everybody who subscribed to a channel of a Womack server.

    It is `womack.publish.Publisher` with `await`: the same arguments, results and errors.

    >>> import asyncio
    >>> import womack.aio
    >>> async def main() -> int:
    ...     async with womack.aio.Publisher() as wm:
    ...         return await wm.publish("hello", {"hello": "world"})
    >>> asyncio.run(main())
    0

    Nothing is sent before the first `publish`, and tasks may share a publisher. It belongs to one
    event loop, as its connection does: make it where that loop runs.

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
        redis_connection: Redis | None = None,
        key: str | None = None,
        *,
        json_default: JsonDefault = None,
    ) -> None:
        """See the class."""
        # A blocking connection would publish, stop the event loop meanwhile, and then fail.
        if isinstance(redis_connection, (redis.Redis, redis.RedisCluster)):
            raise TypeError("this is a blocking connection: use womack.publish.Publisher")
        self.redis = connect() if redis_connection is None else redis_connection
        self.key = key or config.key
        self._json_default = json_default
        self._owns_connection = redis_connection is None

    async def publish(self, channels: str | Iterable[str], data: Any, **options: Any) -> int:
        """Publishes data to one or more channels, see `womack.publish.Publisher.publish`."""
        outgoing = messages(self.key, channels, data, options, self._json_default)
        if len(outgoing) == 1:
            count: int = await self.redis.publish(*outgoing[0])
            return count
        return sum(await _publish_together(self.redis, outgoing))

    async def aclose(self) -> None:
        """Closes the connection, unless the caller brought it along."""
        if self._owns_connection:
            await self.redis.aclose()

    async def __aenter__(self) -> Publisher:
        """Returns the publisher itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connection, see `aclose`."""
        await self.aclose()


async def _publish_together(connection: Redis, outgoing: list[Message]) -> list[Any]:
    async with connection.pipeline(transaction=False) as pipeline:
        for message in outgoing:
            pipeline.publish(*message)
        return await pipeline.execute()
