"""A Redis server of the tests' own, and a subscriber that listens as a Womack server does."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import redis

START_SECONDS = 10.0
MESSAGE_SECONDS = 10.0


class RedisServer:
    """A `redis-server` on a free port of the loopback interface, for one directory of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        """Starts it and returns when it answers PING."""
        self.port = free_port()
        self._log = directory / "redis.log"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(directory), "--logfile", str(self._log), *options]
        self._process = subprocess.Popen(command)  # noqa: S603 - no input from outside
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def connect(self, **options: Any) -> redis.Redis:
        """Opens a connection that the caller closes."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def stop(self) -> None:
        """Ends it and waits until it is gone."""
        self._process.terminate()
        self._process.wait(timeout=START_SECONDS)

    def _wait(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.connect() as connection:
                    connection.ping()
                    return
            except redis.ConnectionError as error:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError(f"redis-server: {self._log.read_text()}") from error
                time.sleep(0.02)


class Listener:
    """Listens to channels of one key and hands out what arrives."""

    def __init__(self, connection: redis.Redis, *redis_channels: str) -> None:
        """Subscribes, and returns when Redis has confirmed it."""
        subscriber: Any = connection  # redis-py leaves `pubsub` without types
        self._pubsub = subscriber.pubsub()
        self._pubsub.subscribe(*redis_channels)
        for _ in redis_channels:
            assert self._next()["type"] == "subscribe"

    def payload(self) -> tuple[str, bytes]:
        """Returns the next message's Redis channel and its very bytes."""
        message = self._next()
        assert message["type"] == "message"
        return message["channel"].decode(), message["data"]

    def message(self) -> tuple[str, Any]:
        """Returns the next message's Redis channel and its parsed JSON."""
        channel, payload = self.payload()
        return channel, json.loads(payload)

    def close(self) -> None:
        """Stops listening."""
        self._pubsub.close()

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] | None = self._pubsub.get_message(timeout=MESSAGE_SECONDS)
        assert message is not None, "no message came"
        return message


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool]) -> None:
    """Looks at a condition until it holds, and fails when it never does."""
    give_up = time.monotonic() + MESSAGE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition never held"
        time.sleep(0.01)
