"""Listens to server events with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import redis
from redis.asyncio import Redis

from ._events import RETRY_SECONDS, Event, event_of, logger, redis_channels
from .config import config


class Listener:
    """Iterates over server events, with `async for`; otherwise as `womack.events.Listener`.

    Closing the iterator, or cancelling the task, ends the subscription.
    """

    def __init__(
        self, redis_connection: Redis | None = None, events_key: str | None = None
    ) -> None:
        """See the class."""
        if isinstance(redis_connection, redis.Redis):
            raise TypeError("this is a blocking connection: use womack.events.Listener")
        self.redis = connect() if redis_connection is None else redis_connection
        self.events_key = events_key or config.events_key
        self._owns_connection = redis_connection is None

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Waits for events and yields them, in the order in which Redis has them."""
        async for message in self._messages():
            event = event_of(message)
            if event is not None:
                yield event

    async def aclose(self) -> None:
        """Closes the connection, unless the caller brought it along."""
        if self._owns_connection:
            await self.redis.aclose()

    async def _messages(
        self, idle_seconds: float = 60.0
    ) -> AsyncGenerator[dict[str, Any] | None, None]:
        """Yields what Redis sends, and None when it has sent nothing for a while."""
        connection: Any = self.redis  # redis-py leaves `pubsub` without types
        async with connection.pubsub() as pubsub:
            is_subscribed = False
            while True:
                try:
                    if not is_subscribed:
                        await pubsub.subscribe(*redis_channels(self.events_key))
                        is_subscribed = True
                    message = await pubsub.get_message(timeout=idle_seconds)
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    logger.warning("redis cannot be reached, trying again: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                yield message


def connect() -> Redis:
    """Returns a connection to the Redis that the configuration names."""
    if config.redis_url:
        connection: Redis = Redis.from_url(config.redis_url)
        return connection
    return Redis(host=config.redis_host, port=config.redis_port)
