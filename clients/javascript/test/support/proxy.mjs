// A TCP proxy that can misbehave as networks do.

import { connect, createServer } from 'node:net';

/** Forwards to a local port, which may change; `refuseWebSocket` answers handshakes with 403. */
export async function startProxy(target, { refuseWebSocket = false } = {}) {
  const sockets = new Set();
  const proxy = { target, refuseWebSocket, cut, freeze, stop };
  const server = createServer((client) => {
    track(client);
    client.once('data', (head) => {
      if (proxy.refuseWebSocket && /^upgrade: *websocket/im.test(head)) {
        client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const upstream = track(connect(proxy.target, '127.0.0.1'));
      upstream.write(head);
      client.pipe(upstream).pipe(client);
      client.once('close', () => upstream.destroy());
      upstream.once('close', () => client.destroy());
    });
  });

  function track(socket) {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket.on('error', () => {}); // Its `close` follows.
  }

  /** Ends every connection. */
  function cut() {
    for (const socket of sockets) socket.destroy();
  }

  /** Leaves every connection open and forwards nothing more on it. */
  function freeze() {
    for (const socket of sockets) socket.unpipe().pause();
  }

  function stop() {
    cut();
    return new Promise((resolve) => server.close(resolve));
  }

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.port = server.address().port;
  return proxy;
}
