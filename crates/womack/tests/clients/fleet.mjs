// Many clients of mixed kinds in some channels, and a publisher that numbers what each channel is to
// get. Each client checks what it gets: while it is connected, no number may be missing, come twice or
// come out of order.

import Redis from "ioredis";
import io09 from "socket.io-client-0.9";
import io1 from "socket.io-client-1";
import io2 from "socket.io-client-2";
import { io as io3 } from "socket.io-client-3";
import { io as io4 } from "socket.io-client-4";

const BOTH = ["polling", "websocket"];
const KINDS = [
  [io4, ["websocket"]],
  [io4, BOTH],
  [io4, ["polling"]],
  [io09, ["websocket"]],
  [io3, BOTH],
  [io2, ["websocket"]],
  [io2, ["polling"]],
  [io4, ["websocket"]],
  [io1, BOTH],
  [io09, ["xhr-polling"]],
];

// How far the publisher may be ahead of a client, in messages. A client that polls takes 16 at a
// time, and a node that stops waits for it for a second after the others are closed: so it must not
// lack more, when a stop begins, than its next answers bring, however long a poll takes on a busy
// machine.
const AHEAD = 16;

class Channel {
  constructor(name) {
    this.name = name;
    this.sent = 0;
    // What every client has got that loses its connection.
    this.mark = 0;
    // The number that ends it all.
    this.final = null;
  }
}

class Member {
  constructor(fleet, channel, number, [connect, transports]) {
    this.fleet = fleet;
    this.channel = channel;
    this.name = `${number} ${transports.join("+")}`;
    this.last = null;
    this.isLive = false;
    // Some libraries wait for long when the other end dies in the middle of an upgrade: they have
    // ended polling by then, and hear of nothing but of their own time-out.
    this.upgrades = transports === BOTH;
    this.lostAt = null;
    this.worst = 0;
    this.losses = 0;
    const options = { forceNew: true, transports, timeout: 5000 };
    Object.assign(options, { reconnectionDelay: 100, reconnectionDelayMax: 500 });
    Object.assign(options, { "force new connection": true, "max reconnection attempts": Infinity });
    Object.assign(options, { "reconnection delay": 100, "reconnection limit": 500 });
    this.socket = connect === io09 ? io09.connect(fleet.url, options) : connect(fleet.url, options);
    this.socket.on("connect", () => this.connected());
    this.socket.on("disconnect", (reason) => this.disconnected(reason));
    this.socket.on(channel.name, ({ data }) => this.received(data));
  }

  connected() {
    this.last = null;
    this.upgrades &&= this.socket.io.engine.transport.name !== "websocket";
    if (this.upgrades) {
      for (const event of ["upgrade", "upgradeError"]) {
        this.socket.io.engine.once(event, () => {
          this.upgrades = false;
          this.fleet.look();
        });
      }
    }
    this.socket.emit("subscribe", { channel: this.channel.name }, ({ ok }) => {
      if (!ok) return this.complain("is not subscribed");
      this.isLive = true;
      // Whatever is published from here on has to arrive.
      this.expected = this.channel.sent + 1;
      if (this.lostAt !== null) this.worst = Math.max(this.worst, Date.now() - this.lostAt);
      this.lostAt = null;
      this.fleet.look();
    });
  }

  disconnected(reason) {
    if (!this.isLive) return;
    this.isLive = false;
    this.losses += 1;
    this.lostAt = Date.now();
    this.fleet.reasons[reason] = (this.fleet.reasons[reason] ?? 0) + 1;
    const { mark } = this.channel;
    if (this.position() < mark) this.complain(`has ended with ${this.position()} of ${mark}`);
  }

  received(number) {
    if (this.last === null) {
      if (this.isLive && number > this.expected) {
        this.complain(`began with ${number}, not ${this.expected}`);
      }
    } else if (number !== this.last + 1) {
      this.complain(`got ${number} after ${this.last}`);
    }
    this.last = number;
    if (this.hasAll()) this.fleet.look();
  }

  // The last number that it has, or that it was not there for.
  position() {
    return this.last ?? this.expected - 1;
  }

  hasAll() {
    return this.channel.final !== null && this.last >= this.channel.final;
  }

  complain(what) {
    this.fleet.complaints.push(`${this.name} ${what}`);
  }
}

export class Fleet {
  constructor(part, report) {
    this.report = (event, details) => report(part, event, details);
    this.complaints = [];
    this.reasons = {};
    this.sent = 0;
  }

  // Connects `count` clients, and reports when all of them are subscribed and upgraded. Every channel has clients
  // of all kinds.
  connect({ url, redis, channels, key, count }) {
    Object.assign(this, { url, key });
    this.redis = new Redis(redis);
    this.channels = channels.map((name) => new Channel(name));
    this.members = Array.from({ length: count }, (_, at) => {
      const channel = this.channels[Math.floor(at / KINDS.length) % channels.length];
      return new Member(this, channel, at, KINDS[at % KINDS.length]);
    });
    this.wait = "connected";
  }

  // Publishes `rate` messages a second from here on, to each channel in turn, or as fast as clients
  // take them.
  publish({ rate }) {
    const start = Date.now();
    this.timer = setInterval(() => {
      const due = ((Date.now() - start) * rate) / 1000;
      while (this.sent < due && this.keepsUp()) this.publishOne();
    }, 5);
  }

  keepsUp() {
    const live = this.members.filter(({ isLive }) => isLive);
    return live.every((member) => member.channel.sent - member.position() < AHEAD);
  }

  publishOne() {
    const channel = this.channels[this.sent % this.channels.length];
    this.sent += 1;
    channel.sent += 1;
    this.redis.publish(`${this.key}:${channel.name}`, JSON.stringify({ data: channel.sent }));
  }

  // A client that loses its connection from here on has to have what is published, and is at Redis,
  // by now.
  async mark() {
    for (const channel of this.channels) channel.mark = channel.sent;
    await this.redis.ping();
    this.report("marked", {});
  }

  // Waits until all clients are there again.
  settle() {
    this.wait = "settled";
    this.look();
  }

  // Reports once every client has what is published from here on, and publishes until then.
  finish() {
    for (const channel of this.channels) channel.final = channel.sent + 1;
    this.wait = "finished";
  }

  look() {
    if (!this.wait || !this.members.every((member) => this.isDone(member))) return;
    if (this.wait === "finished") clearInterval(this.timer);
    this.report(this.wait, {
      sent: this.sent,
      complaints: this.complaints,
      reasons: this.reasons,
      losses: this.members.map(({ losses }) => losses),
      worst: this.members.map(({ worst, name }) => [worst, name]).sort(([a], [b]) => b - a)[0],
    });
    this.wait = null;
  }

  isDone(member) {
    if (!member.isLive || (this.wait === "connected" && member.upgrades)) return false;
    return this.wait !== "finished" || member.hasAll();
  }

  missing() {
    const late = this.members.filter((member) => !this.isDone(member));
    const missing = late.map(({ name, isLive, last, channel, losses }) => {
      return { name, isLive, last, sent: channel.sent, losses };
    });
    this.report("missing", { missing, complaints: this.complaints.slice(0, 10) });
  }
}
