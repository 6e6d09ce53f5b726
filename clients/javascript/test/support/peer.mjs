// A server's end of the conversation, spoken by the test: for what a real server seldom says.

import { WebSocketServer } from 'ws';

/** Listens for WebSockets; `opened(conversation)` is called with each. */
export async function startPeer(t, opened) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on('connection', (socket) => opened(converse(socket)));
  return server.address().port;
}

function converse(socket) {
  const packets = [];
  let wake = () => {};
  socket.on('message', (data) => {
    packets.push(data.toString());
    wake();
  });
  const conversation = {
    say: (packet) => socket.send(packet),
    /** The client's next packet. */
    async hear() {
      while (!packets.length) await new Promise((resolve) => (wake = resolve));
      return packets.shift();
    },
    /** Opens the session and accepts the namespace; returns the client's CONNECT. */
    async accept() {
      conversation.say('0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
      const connect = await conversation.hear();
      conversation.say('40{"sid":"s"}');
      return connect;
    },
  };
  return conversation;
}
