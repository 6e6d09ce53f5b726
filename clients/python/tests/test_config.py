"""The settings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from womack.config import Config, config


def test_defaults_are_those_of_the_server() -> None:
    assert (config.host, config.port) == ("0.0.0.0", 8111)  # noqa: S104
    assert (config.redis_url, config.key) == (None, "womack:ns:default")


@pytest.mark.parametrize("items", [{"port": 1, "key": "k"}, [("port", 1), ("key", "k")]])
def test_configure_takes_a_mapping_or_pairs(items: Any) -> None:
    config.configure(items)

    assert (config.port, config.key, config.host) == (1, "k", "0.0.0.0")  # noqa: S104


def test_configure_takes_names() -> None:
    config.configure(port=1, key="k")

    assert (config.port, config.key) == (1, "k")


def test_attributes_and_items_are_the_same() -> None:
    config.redis_host = "a"
    assert config["redis_host"] == "a"

    config["redis_host"] = "b"
    assert config.redis_host == "b"


def test_settings_of_others_are_kept() -> None:
    config.configure({"debug": True})

    assert config.debug is True


def test_unknown_setting_raises() -> None:
    with pytest.raises(AttributeError, match="there is no setting 'redis_hots'"):
        _ = config.redis_hots
    assert not hasattr(config, "redis_hots")


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_settings_can_be_copied(duplicate: Any) -> None:
    twin = duplicate(config)

    twin.key = "twin"

    assert isinstance(twin, Config)
    assert config.key == "womack:ns:default"
