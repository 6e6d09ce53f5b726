"""Publishes a run of numbered messages for the k6 scripts to check.

Each message holds the run's name, its number in the run, how many there are, and when it was
sent, in milliseconds since 1970.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from womack.config import config
from womack.publish import Publisher

MOST_MESSAGES = 1_000_000
MOST_PER_SECOND = 10_000


def main() -> int:
    """Runs the command line."""
    options = parse()
    if options.redis_url:
        config.redis_url = options.redis_url
    wm = Publisher(key=options.key)
    channels = [options.channel]
    if options.channels:
        channels = [f"{options.channel}:{number}" for number in range(options.channels)]
    if not wait_for_listeners(wm, channels[-1], options.wait):
        print(f"nobody listens to {channels[-1]!r}", file=sys.stderr)
        return 1
    started = time.monotonic()
    publish_runs(wm, channels, options)
    seconds = time.monotonic() - started
    print(f"published {options.count * len(channels)} messages in {seconds:.1f} s")
    return 0


def parse() -> argparse.Namespace:
    """Reads the command line; count and rate have an upper limit, so that a run ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--channel", default="loadtest")
    parser.add_argument(
        "--channels",
        type=int,
        default=0,
        help="publish a run of its own on each of CHANNEL:0, CHANNEL:1, ..., for channels.js",
    )
    parser.add_argument("--count", type=int, default=1000, help=f"on each channel; in all at most {MOST_MESSAGES:,}")
    parser.add_argument(
        "--rate", type=float, default=50, help=f"messages per second, at most {MOST_PER_SECOND:,}"
    )
    parser.add_argument("--bytes", type=int, default=0, help="of filling in each message")
    parser.add_argument("--redis-url", help="default: redis://localhost:6379")
    parser.add_argument("--key", help=f"default: {config.key}")
    parser.add_argument(
        "--wait", type=float, default=30, help="seconds until a server must have subscribed"
    )
    options = parser.parse_args()
    if not 0 <= options.channels <= MOST_MESSAGES:
        parser.error(f"--channels must be between 0 and {MOST_MESSAGES:,}")
    if not 1 <= options.count * max(options.channels, 1) <= MOST_MESSAGES:
        parser.error(f"--count must be above 0, and make {MOST_MESSAGES:,} messages at most")
    if not 0 < options.rate <= MOST_PER_SECOND:
        parser.error(f"--rate must be above 0 and at most {MOST_PER_SECOND:,}")
    return options


def wait_for_listeners(wm: Publisher, channel: str, seconds: float) -> bool:
    """Waits until a server has subscribed to the channel, which it does for its first client."""
    give_up = time.monotonic() + seconds
    while True:
        ((_, servers),) = wm.redis.pubsub_numsub(f"{wm.key}:{channel}")
        if servers or time.monotonic() >= give_up:
            return bool(servers)
        time.sleep(0.1)


def publish_runs(wm: Publisher, channels: list[str], options: argparse.Namespace) -> None:
    """Publishes the messages, each at its time; one that is late does not delay the next."""
    run = secrets.token_hex(4)
    filling = "x" * options.bytes
    started = time.monotonic()
    due = 0
    for seq in range(options.count):
        for channel in channels:
            time.sleep(max(started + due / options.rate - time.monotonic(), 0))
            due += 1
            stamp = {"run": run, "seq": seq, "of": options.count, "sent": time.time() * 1000}
            wm.publish(channel, {**stamp, "filling": filling} if filling else stamp)


if __name__ == "__main__":
    sys.exit(main())
