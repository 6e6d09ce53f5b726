"""A stand-in for a server: it publishes events and keeps its record as servers do."""

from __future__ import annotations

import json
from typing import Any

import redis

EVENTS_KEY = "womack:event:default"


class Server:
    """One node, whose clients are what a test says."""

    def __init__(self, connection: redis.Redis, node: str = "0000000a") -> None:
        """Begins a record."""
        self.node = node
        self._redis: Any = connection
        self._redis.sadd(f"{EVENTS_KEY}:nodes", node)
        self._redis.set(f"{EVENTS_KEY}:nodes:{node}", 1)

    def subscribe(
        self, session: str, channel: str = "a", meta: Any = None, *, silently: bool = False
    ) -> None:
        """A client comes to a channel; silently, if the event gets lost."""
        self._redis.hset(self._record, f"{session},/,{channel}", f"1,{json.dumps(meta)}")
        if not silently:
            self.publish("subscribe", session, channel=channel, meta=meta)

    def unsubscribe(self, session: str, channel: str = "a", *, silently: bool = False) -> None:
        """A client leaves a channel."""
        self._redis.hdel(self._record, f"{session},/,{channel}")
        if not silently:
            self.publish("unsubscribe", session, channel=channel, meta=None)

    def publish(self, kind: str, session: str, **more: Any) -> None:
        """Says something of a client."""
        event = {"session_id": session, "namespace": "/", "node": self.node, **more}
        self.publish_text(kind, json.dumps(event))

    def publish_text(self, kind: str, text: str) -> None:
        """Says anything at all."""
        self._redis.publish(f"{EVENTS_KEY}:{kind}", text)

    def die(self) -> None:
        """Gives no sign of life any more."""
        self._redis.delete(f"{EVENTS_KEY}:nodes:{self.node}")

    @property
    def _record(self) -> str:
        return f"{EVENTS_KEY}:nodes:{self.node}:sessions"
