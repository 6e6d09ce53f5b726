"""What rosters of both kinds keep at Redis, and the rules by which they do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ._events import Event, logger, text

COME = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before == ARGV[2] then return {'', ''} end
local gone, came = '', ''
if before and redis.call('HINCRBY', KEYS[2], before, -1) <= 0 then
  redis.call('HDEL', KEYS[2], before)
  gone = before
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('HINCRBY', KEYS[2], ARGV[2], 1) == 1 then came = ARGV[2] end
return {gone, came}
"""
"""A user is at a place: writes it down and returns who is gone and who came by it, or ''."""

GO = """
local user = redis.call('HGET', KEYS[1], ARGV[1])
if not user then return '' end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HINCRBY', KEYS[2], user, -1) > 0 then return '' end
redis.call('HDEL', KEYS[2], user)
return user
"""
"""Nobody is at a place any more: strikes it out and returns who is gone by it, or ''."""


class Keys:
    """Where things are at Redis."""

    def __init__(self, roster_key: str, events_key: str) -> None:
        """See the attributes."""
        self.places = f"{roster_key}:places"
        """Hash: a session in a channel to the user whose it is."""
        self.users = f"{roster_key}:users"
        """Hash: a user to the number of places."""
        self.nodes = f"{events_key}:nodes"
        """Set, written by the servers: the nodes that have a record."""

    def alive(self, node: str) -> str:
        """Returns the key that a node keeps alive."""
        return f"{self.nodes}:{node}"

    def sessions(self, node: str) -> str:
        """Returns the hash in which a node writes down who is in which channel."""
        return f"{self.nodes}:{node}:sessions"


class Missing:
    """Places that no server knows, each with the time since when."""

    def __init__(self, ttl: float) -> None:
        """Places expire after `ttl` seconds."""
        self._ttl = ttl
        self._since: dict[str, float] = {}

    def expired(self, missing: Iterable[str], now: float) -> list[str]:
        """Returns those of the missing places that have been missing for too long."""
        self._since = {place: self._since.get(place, now) for place in missing}
        return [place for place, since in self._since.items() if now - since >= self._ttl]


def place_of(event: Event) -> str:
    """Returns the name of a session in a channel, as the servers' records have it."""
    return f"{event.session_id},{event.namespace},{event.channel}"


def recorded(node: str, field: str | bytes, value: str | bytes) -> Event | None:
    """Returns an entry of a server's record as the event that announced it."""
    try:
        session_id, namespace, channel = text(field).split(",", 2)
        meta = json.loads(text(value).split(",", 1)[1])
    except (ValueError, IndexError, RecursionError):
        logger.warning("the record of node %s has an entry that cannot be read", node)
        return None
    data = {
        "channel": channel,
        "session_id": session_id,
        "meta": meta,
        "namespace": namespace,
        "node": node,
    }
    return Event("subscribe", data)


def user_in_meta(meta: Any, key: str) -> str | None:
    """Returns a user id as a string; None when there is none that could be one."""
    user_id = meta.get(key) if isinstance(meta, dict) else None
    if isinstance(user_id, bool) or not isinstance(user_id, (str, int)):
        return None
    return str(user_id) or None
