"""The examples of the README and of the docstrings, run as they stand there."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import Listen
from server import Server
from support import RedisServer, eventually

import womack.publish
from womack.config import config

README = Path(__file__).parent.parent / "README.md"
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def blocks(section: str) -> list[str]:
    """Returns the Python blocks under a heading of the README."""
    _, *parts = SECTION.split(README.read_text(encoding="utf-8"))
    return BLOCK.findall(dict(zip(parts[::2], parts[1::2]))[section])


def run(block: str, **names: Any) -> dict[str, Any]:
    """Runs a block and returns the names that it defines."""
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own README
    return names


@pytest.mark.parametrize("module", ["womack.aio", "womack.config", "womack.publish"])
def test_docstrings_are_right(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))

    assert (results.failed, results.attempted > 0) == (0, True)


def test_publish_section_is_right() -> None:
    # One after the other in one session, as somebody reads it.
    source = "\n".join(blocks("Publish"))
    test = doctest.DocTestParser().get_doctest(source, {}, "Publish", "README.md", 0)

    results = doctest.DocTestRunner().run(test)

    assert (results.failed, results.attempted) == (0, 7)


def test_asyncio_section_publishes(listen: Listen) -> None:
    listener = listen("hello")

    run(blocks("asyncio")[0])

    assert listener.message()[1] == {"data": {"hello": "world"}}


def test_server_events_section_listens(redis_server: RedisServer) -> None:
    class EnoughError(Exception):
        pass

    said: list[Any] = []

    def say(*words: Any) -> None:
        said.append(words)
        raise EnoughError

    with redis_server.connect() as connection:
        server = Server(connection)
        anything: Any = connection

        def subscribe() -> None:
            channel = "womack:event:default:subscribe"
            eventually(lambda: anything.pubsub_numsub(channel)[0][1] > 0)
            server.subscribe("s1", "news")

        with ThreadPoolExecutor() as pool:
            published = pool.submit(subscribe)
            with pytest.raises(EnoughError):
                run(blocks("Server events")[0], print=say)
            published.result()

    assert said == [("s1", "came to", "news")]


def test_who_is_online_section_is_right(listen: Listen) -> None:
    look, own = blocks("Who is online")
    test = doctest.DocTestParser().get_doctest(look, {}, "Who is online", "README.md", 0)
    results = doctest.DocTestRunner().run(test)
    assert (results.failed, results.attempted) == (0, 3)

    listener = listen("news")
    roster = run(own, __name__="notify")["News"]()
    roster.on_signed_in("ann")
    roster.on_signed_out("ann")
    messages = [listener.message()[1]["data"] for _ in range(2)]
    assert messages == [{"signed in": "ann"}, {"signed out": "ann"}]


def test_configuration_section_configures() -> None:
    settings, own_connection = blocks("Configuration")

    run(settings)
    assert (config.redis_host, config.key) == ("redis.internal", "tenant:one")
    connection: Any = womack.publish.Publisher().redis
    arguments = connection.connection_pool.connection_kwargs
    assert (arguments["host"], arguments["port"]) == ("redis.internal", 6380)

    assert run(own_connection)["wm"].key == "tenant:two"


def test_django_view_publishes(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    import django
    from django.conf import settings
    from django.test import RequestFactory

    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(DATABASES={"default": database}, ALLOWED_HOSTS=["*"])
    django.setup()
    publisher, view = blocks("Django")
    notify = ModuleType("notify")
    notify.__dict__.update(run(publisher))
    monkeypatch.setitem(sys.modules, "notify", notify)
    listener = listen("article:7")

    response = run(view)["add_comment"](RequestFactory().post("/", {"text": "schön"}), 7)

    assert response.status_code == 201
    assert listener.message()[1] == {"data": {"article": 7, "text": "schön"}}


def test_flask_view_publishes(listen: Listen) -> None:
    listener = listen("room:kitchen")
    app = run(blocks("Flask")[0], __name__="shop")["app"]

    response = app.test_client().post("/say/kitchen", data={"text": "tea?"})

    assert response.status_code == 204
    assert listener.message()[1] == {"data": {"text": "tea?"}}
