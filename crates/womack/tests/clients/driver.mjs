// Drives client libraries on Node.js: one JSON command per line on stdin, one JSON event per line
// on stdout. `part` names the client or publisher that a command or an event belongs to.

import { createInterface } from "node:readline";

import { Emitter } from "@socket.io/redis-emitter";
import Redis from "ioredis";
import { createClient } from "redis";
import io09 from "socket.io-client-0.9";
import io1 from "socket.io-client-1";
import io2 from "socket.io-client-2";
import { io as io3 } from "socket.io-client-3";
import { io as io4 } from "socket.io-client-4";

import { Fleet } from "./fleet.mjs";

const parts = new Map();

function report(part, event, details = {}) {
  process.stdout.write(JSON.stringify({ part, event, ...details }) + "\n");
}

// Each kind of library has a class with the commands as methods.

class SocketIo {
  static connectors = {
    "socket.io-client-1": io1,
    "socket.io-client-2": io2,
    "socket.io-client-3": io3,
    "socket.io-client-4": io4,
  };

  constructor(part) {
    this.part = part;
    this.packets = [];
  }

  connect({ library, url, transports }) {
    this.socket = SocketIo.connectors[library](url, {
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      transports,
      // Engine.IO's own timer would keep waiting for a server that comes back later.
      timeout: 5000,
    });
    const { socket } = this;
    socket.on("connect", () => report(this.part, "connect", { id: socket.id }));
    socket.on("disconnect", (reason) => report(this.part, "disconnect", { reason }));
    // What later clients call an error of connecting was any error before.
    for (const name of ["connect_error", "error"]) {
      socket.on(name, (error) => {
        report(this.part, "connect_error", { message: error.message ?? error });
      });
    }
    this.onAny((name, ...args) => {
      report(this.part, "message", { name, args, packet: this.packets.shift() });
    });
    socket.io.on("open", () => this.watch(socket.io.engine));
    if (socket.io.engine) this.watch(socket.io.engine);
  }

  onAny(listener) {
    const { socket } = this;
    if (socket.onAny) return socket.onAny(listener);
    // Clients before version 3 tell of events by name only, in this method.
    const { onevent } = socket;
    socket.onevent = (packet) => {
      listener(...packet.data);
      onevent.call(socket, packet);
    };
  }

  // The engine shows an event's text some time before the event itself, in the same order.
  watch(engine) {
    if (this.engine === engine) return;
    this.engine = engine;
    engine.on("packet", ({ type, data }) => {
      if (type === "message" && /^[25]/.test(data)) this.packets.push(data);
    });
    engine.on("upgrade", ({ name }) => report(this.part, "upgrade", { transport: name }));
  }

  emit({ name, args }) {
    this.socket.emit(name, ...args);
  }

  call({ name, args }) {
    this.socket.emit(name, ...args, (...args) => report(this.part, "ack", { args }));
  }

  disconnect() {
    this.socket.disconnect();
  }
}

// Socket.IO 0.9 shows an event's text to nobody but its parser.
const { decodePacket } = io09.parser;
io09.parser.decodePacket = (text) => Object.assign(decodePacket(text), { text });

class SocketIo09 {
  constructor(part) {
    this.part = part;
  }

  connect({ url, transports }) {
    const socket = io09.connect(url, {
      "force new connection": true,
      "max reconnection attempts": Infinity,
      "reconnection delay": 50,
      "reconnection limit": 200,
      transports,
    });
    this.socket = socket;
    socket.on("connect", () => report(this.part, "connect", { id: socket.socket.sessionid }));
    socket.on("disconnect", (reason) => report(this.part, "disconnect", { reason }));
    for (const refusal of ["connect_failed", "error"]) {
      socket.on(refusal, (reason) => {
        report(this.part, "connect_error", { message: String(reason) });
      });
    }
    socket.on("message", (text) => report(this.part, "text", { text }));
    const onPacket = socket.onPacket.bind(socket);
    socket.onPacket = (packet) => {
      const { type, name, args, text } = packet;
      if (type !== "event") return onPacket(packet);
      report(this.part, "message", { name, args, packet: text });
    };
  }

  emit({ name, args }) {
    this.socket.emit(name, ...args);
  }

  call({ name, args }) {
    this.socket.emit(name, ...args, (...args) => report(this.part, "ack", { args }));
  }

  // What only this library has: messages without a name, as text or as JSON.
  send({ text }) {
    this.socket.send(text);
  }

  sendJson({ json }) {
    this.socket.json.send(json);
  }

  disconnect() {
    this.socket.disconnect();
  }
}

class IoRedis {
  constructor(part) {
    this.part = part;
  }

  async open({ url }) {
    this.redis = new Redis(url);
    await this.redis.ping();
    report(this.part, "opened");
  }

  async publish({ channel, data, options }) {
    await this.redis.publish(channel, JSON.stringify({ data, ...options }));
    report(this.part, "published");
  }

  async listen({ channel }) {
    this.redis.on("message", (_, text) => report(this.part, "message", { text }));
    await this.redis.subscribe(channel);
    report(this.part, "listening");
  }
}

class NodeRedis {
  constructor(part) {
    this.part = part;
  }

  async open({ url }) {
    this.redis = createClient({ url });
    await this.redis.connect();
    report(this.part, "opened");
  }

  async publish({ channel, data, options }) {
    await this.redis.publish(channel, JSON.stringify({ data, ...options }));
    report(this.part, "published");
  }

  async listen({ channel }) {
    await this.redis.subscribe(channel, (text) => report(this.part, "message", { text }));
    report(this.part, "listening");
  }
}

// @socket.io/redis-emitter, with either of the two Redis clients that it takes.
class RedisEmitter {
  constructor(part) {
    this.part = part;
  }

  async open({ url, client }) {
    if (client === "ioredis") {
      this.redis = new Redis(url);
    } else {
      this.redis = createClient({ url });
      await this.redis.connect();
    }
    await this.redis.ping();
    this.emitter = new Emitter(this.redis);
    report(this.part, "opened");
  }

  // `steps` are calls one after the other, each a method's name and its arguments.
  async chain({ steps }) {
    let target = this.emitter;
    for (const [method, ...args] of steps) {
      target = method === "volatile" ? target.volatile : target[method](...args.map(revive));
    }
    // On the same connection, so that Redis has passed on what was published before.
    await this.redis.ping();
    report(this.part, "published");
  }
}

// What JSON cannot say: {"$bytes": [1, 2]}, {"$date": 0}, {"$undefined": true}.
function revive(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(revive);
  if ("$bytes" in value) return Buffer.from(value.$bytes);
  if ("$date" in value) return new Date(value.$date);
  if ("$undefined" in value) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, revive(value)]));
}

const libraries = {
  fleet: Fleet,
  ioredis: IoRedis,
  redis: NodeRedis,
  "redis-emitter": RedisEmitter,
  "socket.io-client-0.9": SocketIo09,
  "socket.io-client-1": SocketIo,
  "socket.io-client-2": SocketIo,
  "socket.io-client-3": SocketIo,
  "socket.io-client-4": SocketIo,
};

async function run(command) {
  let part = parts.get(command.part);
  if (!part) {
    part = new libraries[command.library](command.part, report);
    parts.set(command.part, part);
  }
  try {
    await part[command.do](command);
  } catch (error) {
    report(command.part, "error", { message: String(error.stack ?? error) });
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => run(JSON.parse(line)))
  .on("close", () => process.exit());
