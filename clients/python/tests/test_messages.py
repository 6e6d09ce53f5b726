"""What reaches Redis, and what is refused: the same for both publishers."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any

import pytest
import redis
from conftest import Listen, Publish
from support import free_port

from womack.config import config


def test_envelope_arrives_on_the_qualified_channel(listen: Listen, publish: Publish) -> None:
    listener = listen("hello")

    assert publish("hello", {"hello": "world"}) == 1

    assert listener.payload() == (
        "womack:ns:default:hello",
        b'{"data": {"hello": "world"}}',
    )


def test_key_argument_goes_before_the_configured_key(listen: Listen, publish: Publish) -> None:
    config.key = "configured"
    listener = listen("a", key="tenant:two")

    assert publish("a", 1, _key="tenant:two") == 1

    assert listener.message() == ("tenant:two:a", {"data": 1})


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_the_configured_one_is_used(
    listen: Listen, publish: Publish, key: str | None
) -> None:
    config.key = "configured"
    listener = listen("a", key="configured")

    assert publish("a", 1, _key=key) == 1

    assert listener.message() == ("configured:a", {"data": 1})


@pytest.mark.parametrize(
    "channel",
    [
        "a:b:c",
        "two words",
        "*",
        "a/b?c#d",
        "größe",
        "チャンネル",
        "😀",
        '"quoted"',
        "line\nbreak",
        "Connect",
        "data",
    ],
)
def test_channel_name_arrives_as_it_is(listen: Listen, publish: Publish, channel: str) -> None:
    listener = listen(channel)

    assert publish(channel, None) == 1

    assert listener.message() == (f"womack:ns:default:{channel}", {"data": None})


@pytest.mark.parametrize(
    "data",
    [
        None,
        True,
        0,
        -(2**63),
        2**63,
        2**64 + 1,
        1.5,
        1e300,
        "",
        "hé😀",
        "\u2028 and \x00",
        [],
        [1, [2, {"three": None}]],
        {},
        {"data": {"data": 1}},
        {"_placeholder": True, "num": 0},
    ],
)
def test_data_arrives_as_it_is(listen: Listen, publish: Publish, data: Any) -> None:
    listener = listen("a")

    publish("a", data)

    assert listener.message() == ("womack:ns:default:a", {"data": data})


def test_text_travels_as_utf8_without_escapes(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    publish("a", "hé😀")

    assert listener.payload()[1] == '{"data": "hé😀"}'.encode()


def test_integers_keep_every_digit(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    publish("a", 2**63)

    assert listener.payload()[1] == b'{"data": 9223372036854775808}'


def test_options_stand_beside_the_data(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    publish("a", 1, kind="news", tags=["x"], **{"except": ["sid1", "sid2"]})

    assert listener.message()[1] == {
        "data": 1,
        "kind": "news",
        "tags": ["x"],
        "except": ["sid1", "sid2"],
    }


def test_channels_and_data_may_be_named(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    publish(data=1, channels="a")

    assert listener.message()[1] == {"data": 1}


@pytest.mark.parametrize("name", ["data", "channels"])
def test_no_option_can_replace_the_data(publish: Publish, name: str) -> None:
    with pytest.raises(TypeError, match="multiple values"):
        publish("a", 1, **{name: 2})


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_several_channels_get_the_same_message_in_order(
    listen: Listen, publish: Publish, kind: Any
) -> None:
    listener = listen("a", "b", "ç")

    assert publish(kind(["a", "b", "ç"]), "x", n=1) == 3

    assert [listener.message() for _ in range(3)] == [
        (f"womack:ns:default:{channel}", {"data": "x", "n": 1}) for channel in ("a", "b", "ç")
    ]


def test_result_counts_the_subscribers_of_all_channels(listen: Listen, publish: Publish) -> None:
    listen("a", "b")
    listen("a")

    assert publish("nobody", 1) == 0
    assert publish("a", 1) == 2
    assert publish(["a", "b", "nobody"], 1) == 3


def test_json_default_writes_what_json_does_not_know(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    publish("a", [Decimal("1.10"), datetime.date(2012, 5, 1)], _json_default=str)

    assert listener.message()[1] == {"data": ["1.10", "2012-05-01"]}


def test_unknown_types_raise(publish: Publish) -> None:
    with pytest.raises(TypeError, match="Decimal is not JSON serializable"):
        publish("a", Decimal(1))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_raise(publish: Publish, number: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON: Out of range float"):
        publish("a", {"n": [number]})
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        publish("a", 1, n=number)


def test_data_that_contains_itself_raises(publish: Publish) -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(ValueError, match="cannot be written as JSON: Circular reference"):
        publish("a", loop)


def test_lone_surrogates_raise(publish: Publish) -> None:
    with pytest.raises(ValueError, match="the message cannot be written as UTF-8"):
        publish("a", "\ud83d")
    with pytest.raises(ValueError, match="the channel name cannot be written as UTF-8"):
        publish("\ud83d", 1)


@pytest.mark.parametrize("channels", [[], (), iter([])])
def test_no_channel_at_all_raises(publish: Publish, channels: Any) -> None:
    with pytest.raises(ValueError, match="no channel"):
        publish(channels, 1)


@pytest.mark.parametrize("channels", ["", [""], ["a", ""]])
def test_empty_channel_names_raise(publish: Publish, channels: Any) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        publish(channels, 1)


@pytest.mark.parametrize(
    "channel",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
def test_reserved_channel_names_raise(publish: Publish, channel: str) -> None:
    with pytest.raises(ValueError, match=f"nobody can subscribe to '{channel}'"):
        publish(channel, 1)


@pytest.mark.parametrize("channels", [None, 1, b"a", bytearray(b"a")])
def test_channels_of_another_type_raise(publish: Publish, channels: Any) -> None:
    with pytest.raises(TypeError, match="channels must be a string or an iterable of strings"):
        publish(channels, 1)


@pytest.mark.parametrize("channel", [None, 1, b"a", ["a"]])
def test_a_channel_of_another_type_raises(publish: Publish, channel: Any) -> None:
    with pytest.raises(TypeError, match="a channel must be a string"):
        publish(["a", channel], 1)


def test_nothing_is_sent_when_one_channel_is_wrong(listen: Listen, publish: Publish) -> None:
    listener = listen("a")

    with pytest.raises(ValueError, match="nobody can subscribe"):
        publish(["a", "connect"], "half")
    publish("a", "whole")

    assert listener.message()[1] == {"data": "whole"}


def test_redis_out_of_reach_raises_its_own_error(publish: Publish) -> None:
    config.redis_port = free_port()

    with pytest.raises(redis.exceptions.ConnectionError):
        publish("a", 1)


def test_redis_url_goes_before_host_and_port(listen: Listen, publish: Publish) -> None:
    config.redis_url = f"redis://127.0.0.1:{config.redis_port}/1"
    config.redis_port = free_port()
    listener = listen("a")

    assert publish("a", 1) == 1

    assert json.loads(listener.payload()[1]) == {"data": 1}


def test_bad_redis_url_raises(publish: Publish) -> None:
    config.redis_url = "http://127.0.0.1"

    with pytest.raises(ValueError, match="scheme"):
        publish("a", 1)
