"""Keeps a list of the users who are online; `python -m womack.roster` is the daemon that does."""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import redis

from ._events import Event, event_of, is_complete, logger, text
from ._roster import COME, GO, Keys, Missing, place_of, recorded, user_in_meta
from .config import config
from .events import Listener

__all__ = ["Roster", "main"]

Callback = Callable[[str], Any]


class Roster:
    """Users who are online: those who have at least one session in at least one channel.

    A user signs in with the first tab and out with the last. Pages say whose they are before they
    subscribe, `womack.meta = {user_id: 42}`, and the servers must have been started with
    `--events-key`. As a daemon:

        womack.roster.Roster(on_signed_in=print).run()

    Anywhere else, to look:

        womack.roster.Roster().get_online_users()

    What it knows is kept at Redis, so the daemon may be started anew. It then compares that with
    what the servers know, as it does from time to time anyway: whoever left while nobody listened,
    or without anybody's saying so, is signed out. Run one daemon for each roster.

    Args:
        redis_connection: the Redis of the servers. By default a new connection to the one that
            `womack.config.config` names.
        events_key: the servers' `--events-key`, by default `config.events_key`.
        roster_key: what stands before the roster's own keys in Redis, one for each roster.
        user_meta_key: the member of `meta` that has the user's id, a string or a whole number.
        ttl: seconds after which somebody of whom no server knows any more is signed out.
        on_signed_in: called with the id of a user who signs in.
        on_signed_out: called with the id of a user who signs out.
    """

    def __init__(
        self,
        redis_connection: redis.Redis | None = None,
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
        self._stopped = False
        connection: Any = self.listener.redis  # redis-py types results as if they were awaited
        self._redis = connection
        self._come = connection.register_script(COME)
        self._go = connection.register_script(GO)

    def get_user_id(self, data: dict[str, Any]) -> str | None:
        """Returns whose session an event is about, or None if it is nobody's that counts.

        Override it to find the user elsewhere in the event's `data`, or to look at some channels
        or namespaces only.
        """
        return user_in_meta(data.get("meta"), self.user_meta_key)

    def on_signed_in(self, user_id: str) -> None:
        """Called when a user signs in. What it raises is logged."""
        if self._callbacks[0]:
            self._callbacks[0](user_id)

    def on_signed_out(self, user_id: str) -> None:
        """Called when a user signs out. What it raises is logged."""
        if self._callbacks[1]:
            self._callbacks[1](user_id)

    def get_online_users(self) -> set[str]:
        """Returns the ids of all users who are online."""
        return {text(user_id) for user_id in self._redis.hkeys(self._keys.users)}

    def is_user_online(self, user_id: str | int) -> bool:
        """Tells whether a user is online."""
        return bool(self._redis.hexists(self._keys.users, str(user_id)))

    def handle_event(self, event: Event) -> None:
        """Writes down what one event says, and calls back."""
        if event.kind == "subscribe":
            user_id = self.get_user_id(event.data)
            if user_id is not None:
                self._sign_in(place_of(event), user_id)
        elif event.kind == "unsubscribe":
            self._sign_out(place_of(event))

    def reconcile(self) -> None:
        """Compares what is written down with what the servers know."""
        there = dict(self._there())
        known = {
            text(place): text(user_id)
            for place, user_id in self._redis.hscan_iter(self._keys.places, count=500)
        }
        for place, user_id in there.items():
            if known.get(place) != user_id:
                self._sign_in(place, user_id)
        for place in self._missing.expired(known.keys() - there.keys(), time.monotonic()):
            self._sign_out(place)

    def run(self) -> None:
        """Keeps the roster until `stop` is called."""
        turn = max(self.ttl / 2, 0.1)
        next_turn = time.monotonic() + turn
        for message in self.listener._messages(min(turn, 1.0)):
            if self._stopped:
                return
            try:
                event = event_of(message)
                if event is not None:
                    self.handle_event(event)
                # From here on nothing is missed; what was missed before is made up for.
                if is_complete(message) or time.monotonic() >= next_turn:
                    next_turn = time.monotonic() + turn
                    self.reconcile()
            except redis.RedisError as error:
                logger.warning("redis does not keep the roster, trying again: %s", error)
                next_turn = time.monotonic() + 1.0

    def stop(self) -> None:
        """Makes `run` return within a second; may be called from a signal handler or a thread."""
        self._stopped = True

    def _there(self) -> Iterator[tuple[str, str]]:
        for node in map(text, self._redis.smembers(self._keys.nodes)):
            if not self._redis.exists(self._keys.alive(node)):
                continue
            for field, value in self._redis.hscan_iter(self._keys.sessions(node), count=500):
                event = recorded(node, field, value)
                user_id = event and self.get_user_id(event.data)
                if user_id is not None:
                    yield text(field), user_id

    def _sign_in(self, place: str, user_id: str) -> None:
        gone, came = map(text, self._come(self._keys_list(), [place, user_id]))
        self._call(self.on_signed_out, gone)
        self._call(self.on_signed_in, came)

    def _sign_out(self, place: str) -> None:
        self._call(self.on_signed_out, text(self._go(self._keys_list(), [place])))

    def _keys_list(self) -> list[str]:
        return [self._keys.places, self._keys.users]

    def _call(self, callback: Callback, user_id: str) -> None:
        if not user_id:
            return
        try:
            callback(user_id)
        except Exception:
            logger.exception("%s failed for user %s", callback.__name__, user_id)


class _LoggingRoster(Roster):
    """What the daemon runs when it is told no other: it says who signs in and out."""

    def on_signed_in(self, user_id: str) -> None:
        logger.info("signed in: %s", user_id)

    def on_signed_out(self, user_id: str) -> None:
        logger.info("signed out: %s", user_id)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a roster until SIGTERM or SIGINT, as the command line says."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if options.redis_url:
        config.redis_url = options.redis_url
    roster = _class(options.roster)(
        events_key=options.events_key,
        roster_key=options.roster_key,
        user_meta_key=options.user_meta_key,
        ttl=options.ttl,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: roster.stop())
    roster.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m womack.roster",
        description="Keeps a list of the users who are online, in Redis.",
    )
    parser.add_argument("roster", nargs="?", help="a Roster class of your own, as module:Class")
    parser.add_argument("--redis-url", help="the servers' Redis (default: redis://localhost:6379)")
    parser.add_argument("--events-key", help=f"the servers' (default: {config.events_key})")
    parser.add_argument(
        "--roster-key", default="womack:roster:default", help="default: %(default)s"
    )
    parser.add_argument("--user-meta-key", default="user_id", help="default: %(default)s")
    parser.add_argument("--ttl", type=float, default=60.0, help="seconds (default: %(default)s)")
    return parser


def _class(name: str | None) -> type[Roster]:
    if name is None:
        return _LoggingRoster
    module, _, attribute = name.partition(":")
    found: type[Roster] = getattr(importlib.import_module(module), attribute)
    return found


if __name__ == "__main__":
    main()
