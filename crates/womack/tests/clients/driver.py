"""Drives client libraries on Python.

One JSON command per line on stdin, one JSON event per line on stdout. "part" names the client or
publisher that a command or an event belongs to.
"""

import asyncio
import builtins
import json
import queue
import runpy
import sys
import threading
import traceback

import redis
import socketio

PATIENCE = 25

write_lock = threading.Lock()


def as_node_does(value):
    return {"type": "Buffer", "data": list(value)}


def report(part, event, **details):
    line = json.dumps({"part": part, "event": event, **details}, default=as_node_does)
    with write_lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def namespace_of(url):
    """Split a URL into the server's part and the namespace that its path names."""
    scheme, rest = url.split("://", 1)
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", "/" + path


class Synchronous:
    """python-socketio with threads. Commands come from a thread of this part's own."""

    def __init__(self, part):
        self.part = part
        self.client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.namespace = "/"
        self.keep_order()

    def keep_order(self):
        """Handle messages one by one.

        python-engineio starts a thread for each, so that nobody knows which is handled first.
        """
        messages = queue.SimpleQueue()
        start = self.client.eio.start_background_task

        def start_background_task(target, *args, **kwargs):
            if target == self.client._handle_eio_message:
                return messages.put(args)
            return start(target, *args, **kwargs)

        def handle():
            while True:
                self.client._handle_eio_message(*messages.get())

        self.client.eio.start_background_task = start_background_task
        threading.Thread(target=handle, daemon=True).start()

    def listen_to(self, client, namespace):
        client.on("connect", self.on_connect, namespace=namespace)
        client.on("disconnect", self.on_disconnect, namespace=namespace)
        client.on("connect_error", self.on_connect_error, namespace=namespace)
        client.on("*", self.on_event, namespace=namespace)

    def on_connect(self):
        # The transport that the client ended up with is known once it has connected.
        threading.Timer(0, self.report_connect).start()

    def report_connect(self):
        report(self.part, "connect", id=self.client.get_sid(self.namespace))
        if self.upgrades and self.client.transport() == "websocket":
            report(self.part, "upgrade", transport="websocket")

    def on_disconnect(self, *reason):
        report(self.part, "disconnect", reason=str(reason))

    def on_connect_error(self, data=None):
        message = data.get("message") if isinstance(data, dict) else str(data)
        report(self.part, "connect_error", message=message)

    def on_event(self, name, *args):
        report(self.part, "message", name=name, args=args)

    def connect(self, url, transports, **_):
        server, self.namespace = namespace_of(url)
        self.upgrades = len(transports) > 1
        self.listen_to(self.client, self.namespace)
        try:
            self.client.connect(server, **self.options(transports))
        except socketio.exceptions.ConnectionError:
            pass  # Reported by the handler of connect_error.

    def options(self, transports):
        return {
            "transports": transports,
            "namespaces": [self.namespace],
            # The client disconnects when it is kept waiting longer than this, by default one
            # second, and then loses what it is told to send.
            "wait_timeout": PATIENCE,
        }

    def emit(self, name, args, **_):
        self.client.emit(name, *args, namespace=self.namespace)

    def call(self, name, args, **_):
        self.client.emit(
            name,
            *args,
            namespace=self.namespace,
            callback=lambda *args: report(self.part, "ack", args=args),
        )

    def disconnect(self, **_):
        self.client.disconnect()


class Asynchronous(Synchronous):
    """python-socketio with asyncio, on the one loop of this program."""

    def __init__(self, part):
        self.part = part
        self.client = None
        self.namespace = "/"

    def on_connect(self):
        asyncio.get_running_loop().call_soon(self.report_connect)

    async def connect(self, url, transports, **_):
        self.client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2)
        server, self.namespace = namespace_of(url)
        self.upgrades = len(transports) > 1
        self.listen_to(self.client, self.namespace)
        try:
            await self.client.connect(server, **self.options(transports))
        except socketio.exceptions.ConnectionError:
            pass  # Reported by the handler of connect_error.

    async def emit(self, name, args, **_):
        await self.client.emit(name, *args, namespace=self.namespace)

    async def call(self, name, args, **_):
        await self.client.emit(
            name,
            *args,
            namespace=self.namespace,
            callback=lambda *args: report(self.part, "ack", args=args),
        )

    async def disconnect(self, **_):
        await self.client.disconnect()


class RedisPy:
    """redis-py, as the publishers of old used it."""

    def __init__(self, part):
        self.part = part

    def open(self, url, **_):
        self.redis = redis.Redis.from_url(url)
        self.redis.ping()
        report(self.part, "opened")

    def publish(self, channel, data, options, **_):
        self.redis.publish(channel, json.dumps({"data": data, **options}))
        report(self.part, "published")

    def listen(self, channel, **_):
        subscription = self.redis.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(
            **{channel: lambda m: report(self.part, "message", text=m["data"].decode())}
        )
        while subscription.get_message(timeout=1) is None and not subscription.subscribed:
            pass
        subscription.run_in_thread(sleep_time=1, daemon=True)
        report(self.part, "listening")


class Manager:
    """python-socketio's RedisManager in a program without a server."""

    def __init__(self, part):
        self.part = part

    def open(self, url, channel, **_):
        self.manager = socketio.RedisManager(url, channel=channel, write_only=True)
        report(self.part, "opened")

    def emit(self, name, data, **options):
        """Emit `data`, the list of arguments, in which {"$bytes": [1, 2]} are bytes."""
        self.manager.emit(name, tuple(map(revive, data)), **options)
        report(self.part, "published")

    def enter_room(self, sid, room, namespace, **_):
        self.manager.enter_room(sid, namespace, room)
        report(self.part, "published")

    def leave_room(self, sid, room, namespace, **_):
        self.manager.leave_room(sid, namespace, room)
        report(self.part, "published")

    def close_room(self, room, namespace, **_):
        self.manager.close_room(room, namespace)
        report(self.part, "published")


class Juggernaut:
    """python-juggernaut, which was written for Python 2 and for the redis-py of its time."""

    class Redis(redis.Redis):
        """One whose subscriptions tell of nothing but messages."""

        def pubsub(self, **kwargs):
            return super().pubsub(ignore_subscribe_messages=True, **kwargs)

    def __init__(self, part):
        self.part = part

    def open(self, url, path, **_):
        builtins.basestring = str
        module = runpy.run_path(path)
        self.redis = self.Redis.from_url(url, decode_responses=True)
        self.juggernaut = module["Juggernaut"](self.redis)
        report(self.part, "opened")

    def publish(self, channels, data, except_=None, options=None, **_):
        self.juggernaut.publish(channels, data, except_, **(options or {}))
        report(self.part, "published")

    def listen(self, **_):
        threading.Thread(target=self.report_events, daemon=True).start()
        # It subscribes to one channel after the other, and to this one last.
        while not dict(self.redis.pubsub_numsub("juggernaut:custom"))["juggernaut:custom"]:
            pass
        report(self.part, "listening")

    def report_events(self):
        for event, data in self.juggernaut.subscribe_listen():
            report(self.part, "message", kind=event, data=data)


def revive(value):
    if isinstance(value, list):
        return [revive(item) for item in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return bytes(value["$bytes"])
        return {key: revive(item) for key, item in value.items()}
    return value


LIBRARIES = {
    "juggernaut": Juggernaut,
    "manager": Manager,
    "python-socketio": Synchronous,
    "python-socketio-asyncio": Asynchronous,
    "redis-py": RedisPy,
}


class Part:
    """Runs the commands of one part in their order."""

    def __init__(self, name, library, loop):
        self.name = name
        self.target = LIBRARIES[library](name)
        self.loop = loop
        self.commands = asyncio.Queue()
        self.task = loop.create_task(self.work())

    async def work(self):
        while True:
            command = await self.commands.get()
            action = getattr(self.target, command.pop("do"))
            try:
                if asyncio.iscoroutinefunction(action):
                    await action(**command)
                else:
                    await asyncio.to_thread(action, **command)
            except Exception:
                report(self.name, "error", message=traceback.format_exc())


async def main():
    loop = asyncio.get_running_loop()
    parts = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        name = command.pop("part")
        if name not in parts:
            parts[name] = Part(name, command["library"], loop)
        parts[name].commands.put_nowait(command)


if __name__ == "__main__":
    asyncio.run(main())
