// The script as a page sees it: where it connects to, and what the page's events do to it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';

import WebSocket from 'ws';

import { collector, next } from './support/client.mjs';
import { startRedis, startWomack } from './support/server.mjs';

const source = await readFile(new URL('../womack.js', import.meta.url), 'utf8');
let redis;
let server;

before(async () => {
  redis = await startRedis();
  server = await startWomack(redis);
});

after(async () => {
  await server?.stop();
  await redis?.stop();
});

/** Runs the script as a classic one in a page of that address; returns the page's window. */
function load(page, src, { others = [] } = {}) {
  const scripts = [...others, ...(src ? [src] : [])].map((s) => ({ src: s }));
  const document = { scripts, currentScript: src ? scripts.at(-1) : null, hidden: false };
  const window = createContext(
    Object.assign(new EventTarget(), {
      document,
      location: new URL(page),
      WebSocket,
      fetch,
      AbortController,
      URL,
      // What a timer's function throws is the window's to report.
      setTimeout: (run, delay) =>
        setTimeout(() => {
          try {
            run();
          } catch (error) {
            window.onerror(error);
          }
        }, delay),
      clearTimeout,
      queueMicrotask,
    }),
  );
  for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent']) {
    window[name] = EventTarget.prototype[name].bind(window);
  }
  runInContext(source, window);
  return window;
}

/** Where a client would connect to. */
function target(window, ...args) {
  let asked;
  class Recorder {
    constructor(url) {
      asked = url;
    }
    close() {}
  }
  const womack = new window.Womack(...args.slice(0, -1), { ...args.at(-1), WebSocket: Recorder });
  womack.io.disconnect();
  return asked.split('?')[0];
}

test('connects to where the script came from', () => {
  const page = 'http://app.example/page';
  const from = (src, ...args) => target(load(page, src), ...args, {});
  assert.equal(from('http://push.example:8111/womack.js'), 'ws://push.example:8111/socket.io/');
  assert.equal(from('https://push.example/v/womack.js?v=2'), 'wss://push.example/socket.io/');
  assert.equal(from('http://cdn.example/app.js'), 'ws://app.example/socket.io/', 'a bundle');
  assert.equal(from(null), 'ws://app.example/socket.io/');
});

test('finds its script tag where the page does not name the running one', () => {
  const others = ['', 'http://x.example/other.js', 'http://push.example:8111/womack.js'];
  const window = load('http://app.example/', null, { others });
  assert.equal(target(window, {}), 'ws://push.example:8111/socket.io/');
});

test('takes host and port as options or as Womack’s own pages wrote them', () => {
  const window = load('https://app.example:3000/', null);
  const to = (...args) => target(window, ...args);
  assert.equal(to({}), 'wss://app.example:3000/socket.io/');
  assert.equal(to({ port: 8443 }), 'wss://app.example:8443/socket.io/');
  assert.equal(to({ host: 'a.example' }), 'wss://a.example/socket.io/');
  assert.equal(to({ host: 'a.example', secure: false }), 'ws://a.example:8111/socket.io/');
  assert.equal(to({ host: 'a.example:99' }), 'wss://a.example:99/socket.io/');
  assert.equal(to({ host: 'http://[::1]:99/' }), 'ws://[::1]:99/socket.io/');
  assert.equal(to({ host: 'http://a.example' }), 'ws://a.example/socket.io/');
  assert.equal(to('localhost', { port: 8111, secure: false }), 'ws://localhost:8111/socket.io/');
  assert.equal(to(undefined, { port: 1, path: '/x' }), 'wss://app.example:1/x/');
});

async function open(t, options) {
  const window = load('http://127.0.0.1/', `http://127.0.0.1:${server.port}/womack.js`);
  const womack = new window.Womack({ reconnectionDelay: 60000, reconnectionDelayMax: 60000, ...options });
  t.after(() => womack.io.disconnect());
  await next(womack, 'connect');
  return [womack, (type) => window.dispatchEvent(new Event(type)), window];
}

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: leaving the page closes, coming back connects`, async (t) => {
    const [womack, fire] = await open(t, { transports: [transport] });
    const lost = next(womack, 'disconnect');
    fire('pagehide');
    assert.deepEqual(await lost, ['page hidden']);
    const back = next(womack, 'connect');
    fire('pageshow');
    await back;
  });
}

test('the network’s return ends the wait', async (t) => {
  const [womack, fire] = await open(t);
  const lost = next(womack, 'disconnect');
  fire('offline');
  await lost;
  const back = next(womack, 'connect');
  fire('online');
  await back;
});

test('a tab that comes to the front ends the wait', async (t) => {
  const [womack, fire, { document }] = await open(t);
  const lost = next(womack, 'disconnect');
  fire('offline');
  await lost;
  document.hidden = true;
  fire('visibilitychange');
  document.hidden = false;
  const back = next(womack, 'connect');
  fire('visibilitychange');
  await back;
});

test('a healthy connection outlives all of that', async (t) => {
  const [womack, fire] = await open(t);
  const { sessionID } = womack;
  for (const type of ['pageshow', 'online', 'visibilitychange']) fire(type);
  await womack.subscribe('still');
  assert.equal(womack.sessionID, sessionID);
});

test('an exception in a callback is reported and reaches no other', async (t) => {
  const [womack, , window] = await open(t);
  const reported = new Promise((resolve) => (window.onerror = resolve));
  const got = collector();
  womack.subscribe('careless', () => {
    throw new Error('careless');
  });
  await womack.subscribe('careless', got);
  await redis.publish('careless', '{"data":1}');
  assert.equal((await reported).message, 'careless');
  assert.deepEqual(got.received, [1]);
});

test('a page whose policy forbids WebSocket polls', async (t) => {
  class Forbidden {
    constructor() {
      throw new Error('SecurityError');
    }
  }
  const [womack] = await open(t, { WebSocket: Forbidden });
  assert.equal(womack.io.transport, 'polling');
});
