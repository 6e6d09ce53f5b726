"""Keeps a list of the users who are online, with asyncio."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator
from typing import Any, Callable

import redis
from redis.asyncio import Redis

from ._aio_events import Listener
from ._events import Event, event_of, is_complete, logger, text
from ._roster import COME, GO, Keys, Missing, place_of, recorded, user_in_meta

Callback = Callable[[str], Any]


class Roster:
    """Users who are online: `womack.roster.Roster` with `await`.

    The callbacks may be coroutine functions. Cancelling the task that awaits `run` ends it.
    """

    def __init__(
        self,
        redis_connection: Redis | None = None,
        events_key: str | None = None,
        *,
        roster_key: str = "womack:roster:default",
        user_meta_key: str = "user_id",
        ttl: float = 60.0,
        on_signed_in: Callback | None = None,
        on_signed_out: Callback | None = None,
    ) -> None:
        """See the class."""
        self.listener = Listener(redis_connection, events_key)
        self.user_meta_key = user_meta_key
        self.ttl = ttl
        self._keys = Keys(roster_key, self.listener.events_key)
        self._missing = Missing(ttl)
        self._callbacks = (on_signed_in, on_signed_out)
        connection: Any = self.listener.redis
        self._redis = connection
        self._come = connection.register_script(COME)
        self._go = connection.register_script(GO)

    def get_user_id(self, data: dict[str, Any]) -> str | None:
        """Returns whose session an event is about, or None if it is nobody's that counts."""
        return user_in_meta(data.get("meta"), self.user_meta_key)

    async def on_signed_in(self, user_id: str) -> None:
        """Called when a user signs in. What it raises is logged."""
        await _call(self._callbacks[0], user_id)

    async def on_signed_out(self, user_id: str) -> None:
        """Called when a user signs out. What it raises is logged."""
        await _call(self._callbacks[1], user_id)

    async def get_online_users(self) -> set[str]:
        """Returns the ids of all users who are online."""
        return {text(user_id) for user_id in await self._redis.hkeys(self._keys.users)}

    async def is_user_online(self, user_id: str | int) -> bool:
        """Tells whether a user is online."""
        return bool(await self._redis.hexists(self._keys.users, str(user_id)))

    async def handle_event(self, event: Event) -> None:
        """Writes down what one event says, and calls back."""
        if event.kind == "subscribe":
            user_id = self.get_user_id(event.data)
            if user_id is not None:
                await self._sign_in(place_of(event), user_id)
        elif event.kind == "unsubscribe":
            await self._sign_out(place_of(event))

    async def reconcile(self) -> None:
        """Compares what is written down with what the servers know."""
        there = {place: user_id async for place, user_id in self._there()}
        known = {
            text(place): text(user_id)
            async for place, user_id in self._redis.hscan_iter(self._keys.places, count=500)
        }
        for place, user_id in there.items():
            if known.get(place) != user_id:
                await self._sign_in(place, user_id)
        for place in self._missing.expired(known.keys() - there.keys(), time.monotonic()):
            await self._sign_out(place)

    async def run(self) -> None:
        """Keeps the roster until it is cancelled."""
        turn = max(self.ttl / 2, 0.1)
        next_turn = time.monotonic() + turn
        messages = self.listener._messages(min(turn, 1.0))
        try:
            async for message in messages:
                try:
                    event = event_of(message)
                    if event is not None:
                        await self.handle_event(event)
                    # From here on nothing is missed; what was missed before is made up for.
                    if is_complete(message) or time.monotonic() >= next_turn:
                        next_turn = time.monotonic() + turn
                        await self.reconcile()
                except redis.RedisError as error:
                    logger.warning("redis does not keep the roster, trying again: %s", error)
                    next_turn = time.monotonic() + 1.0
        finally:
            await messages.aclose()

    async def aclose(self) -> None:
        """Closes the connection, unless the caller brought it along."""
        await self.listener.aclose()

    async def _there(self) -> AsyncIterator[tuple[str, str]]:
        for node in map(text, await self._redis.smembers(self._keys.nodes)):
            if not await self._redis.exists(self._keys.alive(node)):
                continue
            entries = self._redis.hscan_iter(self._keys.sessions(node), count=500)
            async for field, value in entries:
                event = recorded(node, field, value)
                user_id = event and self.get_user_id(event.data)
                if user_id is not None:
                    yield text(field), user_id

    async def _sign_in(self, place: str, user_id: str) -> None:
        keys = [self._keys.places, self._keys.users]
        gone, came = map(text, await self._come(keys, [place, user_id]))
        await _logging(self.on_signed_out, gone)
        await _logging(self.on_signed_in, came)

    async def _sign_out(self, place: str) -> None:
        keys = [self._keys.places, self._keys.users]
        await _logging(self.on_signed_out, text(await self._go(keys, [place])))


async def _logging(callback: Callback, user_id: str) -> None:
    if not user_id:
        return
    try:
        await callback(user_id)
    except Exception:
        logger.exception("%s failed for user %s", callback.__name__, user_id)


async def _call(callback: Callback | None, user_id: str) -> None:
    result = callback and callback(user_id)
    if inspect.isawaitable(result):
        await result
