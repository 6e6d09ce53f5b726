// Socket.IO doing Womack's work: `node server.mjs [--adapter] REDIS_URL`.
//
// What is published on Redis goes to the room of that name, as an application would write it.
// With --adapter every message is also passed on to other nodes, of which there are none.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const KEY = "womack:ns:default:";
const url = process.argv.at(-1);

const connect = () => createClient({ url }).connect();
const messages = await connect();
const http = createServer();
const io = new Server(http);
if (process.argv.includes("--adapter")) {
  io.adapter(createAdapter(await connect(), await connect()));
}

// A channel's subscription, kept for good once somebody wanted it.
const live = new Map();

function subscribe(channel) {
  if (!live.has(channel)) {
    const deliver = (payload) => io.to(channel).emit(channel, JSON.parse(payload));
    live.set(channel, messages.subscribe(KEY + channel, deliver));
  }
  return live.get(channel);
}

io.on("connection", (socket) => {
  socket.on("subscribe", async ({ channel, channels = [channel] }, acknowledge) => {
    await Promise.all(channels.map(subscribe));
    await socket.join(channels);
    acknowledge?.({ ok: true, channels });
  });
});

http.listen(0, "127.0.0.1", () => {
  const { address, port } = http.address();
  console.error(JSON.stringify({ message: "listening", address: `${address}:${port}` }));
});
