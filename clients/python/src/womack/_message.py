"""What a publisher gives to Redis: the channel's full name and the JSON envelope."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional, Union

JsonDefault = Optional[Callable[[Any], Any]]
"""Turns what JSON does not know into something that it does; see `json.dumps`."""

Wire = Union[str, bytes]
Message = tuple[Wire, Wire]
"""A Redis channel and what is published on it."""

RESERVED_CHANNELS = frozenset(
    {
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    }
)
"""Socket.IO's own event names, which the server lets nobody subscribe to."""


def messages(
    key: str,
    channels: str | Iterable[str],
    data: Any,
    options: Mapping[str, Any],
    json_default: JsonDefault,
) -> list[Message]:
    """Returns one message for each channel.

    Everything is checked here, so that a bad channel or value leaves nothing half published.
    """
    names = [channels] if isinstance(channels, str) else _list(channels)
    if not names:
        raise ValueError("no channel to publish to")
    for name in names:
        _check_channel(name)
    payload = _to_wire(_encode({"data": data, **options}, json_default), "the message")
    return [(_to_wire(f"{key}:{name}", "the channel name"), payload) for name in names]


def _list(channels: Iterable[str]) -> list[str]:
    # Bytes are iterable, but as numbers: the error would name a channel nobody wrote.
    if isinstance(channels, (bytes, bytearray)) or not isinstance(channels, Iterable):
        raise TypeError(
            f"channels must be a string or an iterable of strings, not {type(channels).__name__}"
        )
    return list(channels)


def _check_channel(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a channel must be a string, not {type(name).__name__}: {name!r}")
    if not name:
        raise ValueError("a channel name must not be empty")
    if name in RESERVED_CHANNELS:
        raise ValueError(f"nobody can subscribe to {name!r}: Socket.IO reserves this name")


def _encode(envelope: Mapping[str, Any], json_default: JsonDefault) -> str:
    try:
        return json.dumps(envelope, allow_nan=False, default=json_default, ensure_ascii=False)
    except ValueError as error:
        raise ValueError(f"the message cannot be written as JSON: {error}") from error


def _to_wire(text: str, what: str) -> Wire:
    # Redis connections have an encoding of their own, and the server takes UTF-8 only. ASCII is
    # the same either way and stays a string, which is what stand-ins for Redis in tests expect.
    if text.isascii():
        return text
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} cannot be written as UTF-8: {error}") from error
