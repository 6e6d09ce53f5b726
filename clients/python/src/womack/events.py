"""Listens to what Womack servers say of their clients, in ordinary, blocking code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis
import redis.asyncio

from ._events import RETRY_SECONDS, Event, event_of, logger, redis_channels
from .config import config

__all__ = ["Event", "Listener"]


class Listener:
    """Iterates over server events: clients that subscribe, that leave, and what they send.

    The servers must have been started with `--events-key`.

        for kind, data in womack.events.Listener():
            if kind == "subscribe":
                print(data["session_id"], "came to", data["channel"])

    It goes on for ever. While Redis cannot be reached it waits for it, and what is published
    meanwhile is lost.

    Args:
        redis_connection: the Redis to listen to. By default a new connection to the one that
            `womack.config.config` names.
        events_key: the servers' `--events-key`, by default `config.events_key`.

    Attributes:
        redis: the Redis connection.
        events_key: the key in use.
    """

    def __init__(
        self, redis_connection: redis.Redis | None = None, events_key: str | None = None
    ) -> None:
        """See the class."""
        if isinstance(redis_connection, redis.asyncio.Redis):
            raise TypeError("this is an asyncio connection: use womack.aio.Listener")
        self.redis = connect() if redis_connection is None else redis_connection
        self.events_key = events_key or config.events_key

    def __iter__(self) -> Iterator[Event]:
        """Waits for events and yields them, in the order in which Redis has them."""
        for message in self._messages():
            event = event_of(message)
            if event is not None:
                yield event

    def _messages(self, idle_seconds: float = 60.0) -> Iterator[dict[str, Any] | None]:
        """Yields what Redis sends, and None when it has sent nothing for a while."""
        connection: Any = self.redis  # redis-py leaves `pubsub` without types
        with connection.pubsub() as pubsub:
            is_subscribed = False
            while True:
                try:
                    if not is_subscribed:
                        pubsub.subscribe(*redis_channels(self.events_key))
                        is_subscribed = True
                    message = pubsub.get_message(timeout=idle_seconds)
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    logger.warning("redis cannot be reached, trying again: %s", error)
                    time.sleep(RETRY_SECONDS)
                    continue
                yield message


def connect() -> redis.Redis:
    """Returns a connection to the Redis that the configuration names."""
    if config.redis_url:
        return redis.Redis.from_url(config.redis_url)
    return redis.Redis(host=config.redis_host, port=config.redis_port)
