"""Server events as Redis carries them, for listeners of both kinds."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

KINDS = ("subscribe", "unsubscribe", "custom")
"""What server events can be about."""

RETRY_SECONDS = 0.5
"""How long a listener waits before it connects again."""

logger = logging.getLogger("womack")


class Event(NamedTuple):
    """What a Womack server says of one of its clients; unpacks as `kind, data`."""

    kind: str
    """`subscribe`, `unsubscribe` or `custom`."""

    data: dict[str, Any]
    """The event itself, see the properties."""

    @property
    def session_id(self) -> str:
        """The client's session id in its namespace, as the client itself knows it."""
        session_id: str = self.data["session_id"]
        return session_id

    @property
    def channel(self) -> str | None:
        """The channel that the client has come to or left; None for `custom`."""
        return self.data.get("channel")

    @property
    def meta(self) -> Any:
        """What the client told about itself; None if nothing."""
        return self.data.get("meta")

    @property
    def namespace(self) -> str:
        """The path of the client's namespace."""
        namespace: str = self.data["namespace"]
        return namespace

    @property
    def node(self) -> str:
        """The server process that has the client."""
        node: str = self.data["node"]
        return node


def redis_channels(events_key: str) -> list[str]:
    """Returns the Redis channels that carry the server events of a key."""
    return [f"{events_key}:{kind}" for kind in KINDS]


def event_of(message: Mapping[str, Any] | None) -> Event | None:
    """Reads a message of redis-py; returns None for whatever is no server event."""
    if message is None or message["type"] != "message":
        return None
    channel = text(message["channel"])
    try:
        data = json.loads(message["data"])
    except (ValueError, RecursionError):
        data = None
    known = isinstance(data, dict) and all(
        isinstance(data.get(name), str) for name in ("session_id", "namespace", "node")
    )
    if not known:
        logger.warning("a message on %s is no server event", channel)
        return None
    return Event(channel.rpartition(":")[2], data)


def is_complete(message: Mapping[str, Any] | None) -> bool:
    """Tells whether a message confirms the last of a listener's subscriptions."""
    if message is None or message["type"] != "subscribe":
        return False
    return bool(message["data"] == len(KINDS))


def text(value: str | bytes) -> str:
    """Returns what Redis sent as a string, however the connection decodes."""
    return value.decode() if isinstance(value, bytes) else value
