"""Settings that all publishers and listeners of a program share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

Settings = Union[Mapping[str, Any], Iterable[tuple[str, Any]]]


class Config(dict[str, Any]):
    """A dictionary whose items are attributes too.

    A publisher reads it when it is made, so set it up before that.

    >>> from womack.config import Config
    >>> settings = Config(redis_host="localhost")
    >>> settings.redis_host = "redis.internal"
    >>> settings.configure({"redis_port": 6380}, key="tenant:one")
    >>> settings["redis_host"], settings.redis_port, settings.key
    ('redis.internal', 6380, 'tenant:one')
    """

    host: str
    """Where the server listens. No publisher needs it; pages that link to the server may."""

    port: int
    """The server's port, see `host`."""

    redis_host: str
    """The Redis that publishers connect to."""

    redis_port: int
    """The port of that Redis."""

    redis_url: str | None
    """Everything about the Redis in one URL, as redis-py reads it; goes before host and port."""

    key: str
    """What stands before every channel name in Redis; each namespace of the server has one."""

    events_key: str
    """What the servers publish their events under, their `--events-key`."""

    def configure(self, items: Settings = (), **settings: Any) -> None:
        """Changes several settings at once and keeps the others.

        Names that publishers do not know are kept as well, for programs with settings of their own.

        Args:
            items: a mapping, or pairs of name and value.
            **settings: more of the same, by name.
        """
        self.update(items, **settings)

    def __getattr__(self, name: str) -> Any:
        """Reads an item that is asked for as an attribute."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an item through its attribute."""
        self[name] = value


config = Config(
    host="0.0.0.0",  # noqa: S104 - the server's default, nothing listens here
    port=8111,
    redis_host="localhost",
    redis_port=6379,
    redis_url=None,
    key="womack:ns:default",
    events_key="womack:event:default",
)
"""The settings that publishers and listeners use."""
