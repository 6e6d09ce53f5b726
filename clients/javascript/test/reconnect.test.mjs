// What bad networks do, against the real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import WebSocket from 'ws';

import { collector, connect, next } from './support/client.mjs';
import { startProxy } from './support/proxy.mjs';
import { startRedis, startWomack } from './support/server.mjs';

let redis;
let server;
let impatient; // A server that pings often.

before(async () => {
  redis = await startRedis();
  server = await startWomack(redis);
  impatient = await startWomack(redis, ['--ping-interval', '0.3', '--ping-timeout', '1.2']);
});

after(async () => {
  await impatient?.stop();
  await server?.stop();
  await redis?.stop();
});

async function open(t, { to = server, refuseWebSocket, ...options } = {}) {
  const proxy = await startProxy(to.port, { refuseWebSocket });
  t.after(() => proxy.stop());
  return [connect(t, proxy.port, options), proxy];
}

for (const transport of ['websocket', 'polling']) {
  const transports = [transport];

  test(`${transport}: resubscribes after the connection broke`, async (t) => {
    const [womack, proxy] = await open(t, { transports });
    const got = collector();
    await womack.subscribe(['a', 'b'], got);
    const before = womack.sessionID;
    const lost = next(womack, 'disconnect');
    const back = next(womack, 'connect');
    proxy.down();
    await lost;
    const live = womack.subscribe('a');
    proxy.up();
    await back;
    assert.notEqual(womack.sessionID, before);
    await live;
    await redis.publish('a', '{"data":1}');
    await redis.publish('b', '{"data":2}');
    assert.deepEqual(await got.until(2), [1, 2]);
  });

  test(`${transport}: notices that the server has gone silent`, async (t) => {
    const [womack, proxy] = await open(t, { to: impatient, transports });
    await next(womack, 'connect');
    const back = next(womack, 'connect');
    const lost = next(womack, 'disconnect');
    proxy.freeze();
    assert.deepEqual(await lost, ['ping timeout']);
    proxy.up();
    await back;
  });

  test(`${transport}: answers pings and stays`, async (t) => {
    const [womack] = await open(t, { to: impatient, transports });
    await next(womack, 'connect');
    const { sessionID } = womack;
    // A client that connected later and answers no ping is dropped in the meantime.
    const silent = new WebSocket(`ws://127.0.0.1:${impatient.port}/socket.io/?EIO=4&transport=websocket`);
    silent.once('open', () => silent.send('40'));
    await new Promise((resolve) => silent.once('close', resolve));
    assert.equal(womack.sessionID, sessionID);
  });
}

test('tells of the channels on which something may have been missed', async (t) => {
  const telling = await startWomack(redis, ['--gap-notices']);
  t.after(() => telling.stop());
  const womack = connect(t, telling.port);
  await womack.subscribe(['a', 'b'], () => {});
  const told = next(womack, 'gap');
  await redis.cut();
  const [{ channels, from, to }] = await told;
  assert.deepEqual(channels.sort(), ['a', 'b']);
  assert.ok(from <= to && to - from < 60_000);
});

test('falls back to polling where WebSocket is blocked', async (t) => {
  const [womack, proxy] = await open(t, { refuseWebSocket: true });
  const got = collector();
  await womack.subscribe('blocked', got);
  assert.equal(womack.io.transport, 'polling');
  await redis.publish('blocked', '{"data":1}');
  assert.deepEqual(await got.until(1), [1]);

  // From polling, which worked, the next connection looks for WebSocket again.
  const lost = next(womack, 'disconnect');
  proxy.refuseWebSocket = false;
  proxy.down();
  await lost;
  proxy.up();
  await until(() => womack.io.transport === 'websocket');
});

test('moves from polling to WebSocket without losing a message', async (t) => {
  const [womack] = await open(t, { transports: ['polling', 'websocket'] });
  const got = collector();
  const transports = new Set();
  await womack.subscribe('moving', (data) => {
    transports.add(womack.io.transport);
    got(data);
  });
  let sent = 0;
  while (womack.io.transport !== 'websocket' || sent < 50) {
    await redis.publish('moving', `{"data":${sent++}}`);
  }
  const { sessionID } = womack;
  await redis.publish('moving', `{"data":${sent++}}`);
  assert.deepEqual(await got.until(sent), Array.from({ length: sent }, (_, i) => i));
  assert.equal(womack.sessionID, sessionID);
  assert.ok(transports.has('websocket'));
});

test('keeps trying until the server is there', async (t) => {
  const [womack, proxy] = await open(t, { autoConnect: false });
  proxy.down();
  const live = womack.subscribe('late');
  womack.io.connect();
  for (let i = 0; i < 3; i++) {
    const [error] = await next(womack, 'connect_error');
    assert.ok(error instanceof Error);
  }
  proxy.up();
  await live;
});

test('a server that starts again gets the subscriptions', async (t) => {
  let short = await startWomack(redis);
  t.after(() => short.stop());
  const [womack, proxy] = await open(t, { to: short });
  const got = collector();
  await womack.subscribe('restart', got);
  const lost = next(womack, 'disconnect');
  await short.stop();
  await lost;
  const live = womack.subscribe('restart');
  short = await startWomack(redis);
  proxy.target = short.port;
  await live;
  await redis.publish('restart', '{"data":1}');
  assert.deepEqual(await got.until(1), [1]);
});

test('no attempt follows a disconnect', async (t) => {
  const [womack, proxy] = await open(t);
  await next(womack, 'connect');
  const lost = next(womack, 'disconnect');
  proxy.down();
  await lost;
  womack.io.disconnect();
  let connected = false;
  womack.on('connect', () => (connected = true));
  proxy.up();
  // Another client, that waits longer before it comes back.
  const slow = { reconnectionDelay: 500, reconnectionDelayMax: 500 };
  const other = connect(t, proxy.port, slow);
  await next(other, 'connect');
  const again = next(other, 'connect');
  const otherLost = next(other, 'disconnect');
  proxy.down();
  await otherLost;
  proxy.up();
  await again;
  assert.equal(connected, false);
});

/** Waits until the condition holds; the test's time-out bounds it. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}
