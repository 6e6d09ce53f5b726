// Clients for the tests, and ways to wait for what happens to them.

import WebSocket from 'ws';
import Womack from 'womack';

/** A client that reconnects quickly and is disconnected when the test ends. */
export function connect(t, port, options) {
  const womack = new Womack('127.0.0.1', {
    port,
    WebSocket,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    ...options,
  });
  t.after(() => womack.io.disconnect());
  return womack;
}

/** The arguments of the next event of that name. */
export function next(emitter, name) {
  return new Promise((resolve) => emitter.once(name, (...args) => resolve(args)));
}

/** Collects a callback's first arguments; `until(n)` waits for the nth. */
export function collector() {
  const received = [];
  let check = () => {};
  const collect = (value) => {
    received.push(value);
    check();
  };
  collect.received = received;
  collect.until = (count) =>
    new Promise((resolve) => {
      check = () => received.length >= count && resolve(received);
      check();
    });
  return collect;
}
