// What a page does with Womack, over each transport, against the real server.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { collector, connect, next } from './support/client.mjs';
import { startRedis, startWomack } from './support/server.mjs';

let redis;
let server;

before(async () => {
  redis = await startRedis();
  const flags = ['--namespace', '/another', '--max-channels-per-client', '600'];
  server = await startWomack(redis, flags);
});

after(async () => {
  await server?.stop();
  await redis?.stop();
});

for (const transport of ['websocket', 'polling']) {
  describe(transport, () => {
    const open = (t, options) => connect(t, server.port, { transports: [transport], ...options });

    test('connects and knows its session', async (t) => {
      const womack = open(t);
      assert.equal(womack.sessionID, undefined);
      await next(womack, 'connect');
      assert.equal(womack.io.connected, true);
      assert.equal(womack.io.transport, transport);
      assert.match(womack.sessionID, /./);
      assert.equal(womack.sessionID, womack.io.id);
    });

    test('a callback gets data, envelope and channel', async (t) => {
      const womack = open(t);
      const call = new Promise((resolve) => {
        womack.subscribe('hello', (...args) => resolve(args)).then(() => {
          redis.publish('hello', '{"data": {"hello": "wörld 😀"}, "timestamp": 1.5}');
        });
      });
      const data = { hello: 'wörld 😀' };
      assert.deepEqual(await call, [data, { data, timestamp: 1.5 }, 'hello']);
    });

    test('a value that is no object is its own data', async (t) => {
      const womack = open(t);
      const got = collector();
      await womack.subscribe('plain', (data, envelope) => got([data, envelope]));
      for (const json of ['1', '"a"', 'null', '[1,2]', '{"a":1}']) await redis.publish('plain', json);
      assert.deepEqual(await got.until(5), [
        [1, 1],
        ['a', 'a'],
        [null, null],
        [[1, 2], [1, 2]],
        [undefined, { a: 1 }],
      ]);
    });

    test('messages arrive in order', async (t) => {
      const womack = open(t);
      const got = collector();
      await womack.subscribe('order', got);
      for (let i = 0; i < 200; i++) await redis.publish('order', `{"data":${i}}`);
      assert.deepEqual(await got.until(200), Array.from({ length: 200 }, (_, i) => i));
    });

    test('channels of any name, several at a time', async (t) => {
      const womack = open(t);
      const got = collector();
      const names = ['a b', 'x:y:z', 'ž/*', '😀', '__proto__'];
      assert.deepEqual(await womack.subscribe(names, (_data, _envelope, name) => got(name)), names);
      for (const name of names) assert.equal(await redis.publish(name, '{"data":1}'), 1);
      assert.deepEqual(await got.until(names.length), names);
    });

    test('more channels than one request holds', async (t) => {
      const womack = open(t);
      const got = collector();
      const names = Array.from({ length: 500 }, (_, i) => `${i}`.padEnd(900, '-'));
      await womack.subscribe(names, got);
      await redis.publish(names[0], '{"data":"first"}');
      await redis.publish(names.at(-1), '{"data":"last"}');
      assert.deepEqual(await got.until(2), ['first', 'last']);
    });

    test('emits a large event and gets the answer', async (t) => {
      const womack = open(t);
      const channels = Array.from({ length: 400 }, (_, i) => `${i}`.padEnd(1000, 'é'));
      womack.io.emit('unsubscribe', { channels: ['small'] });
      const answer = new Promise((resolve) => womack.io.emit('unsubscribe', { channels }, resolve));
      assert.equal((await answer).error, 'bad_channel', 'they are too long');
      assert.equal(womack.io.connected, true);
    });

    test('disconnects, stays so, and connects again', async (t) => {
      const womack = open(t);
      await next(womack, 'connect');
      const gone = next(womack, 'disconnect');
      womack.io.disconnect();
      assert.deepEqual(await gone, ['io client disconnect']);
      assert.equal(womack.io.connected, false);
      assert.equal(womack.sessionID, undefined);
      womack.io.connect();
      await next(womack, 'connect');
    });

    test('namespaces', async (t) => {
      const womack = open(t, { namespace: '/another' });
      const got = collector();
      await womack.subscribe('spaced', got);
      await redis.publish('spaced', '{"data":1}');
      assert.deepEqual(await got.until(1), [1]);
    });

    test('an unknown namespace is an error, and tried again', async (t) => {
      const womack = open(t, { namespace: '/random' });
      for (let i = 0; i < 2; i++) {
        const [error] = await next(womack, 'connect_error');
        assert.equal(error.message, 'Invalid namespace');
      }
    });
  });
}

describe('subscriptions', () => {
  test('io gets each envelope as an event', async (t) => {
    const womack = connect(t, server.port);
    const event = next(womack.io, 'raw');
    await womack.subscribe('raw');
    await redis.publish('raw', '{"data":1,"n":2}');
    assert.deepEqual(await event, [{ data: 1, n: 2 }]);
  });

  test('one callback is called once, however often it subscribes', async (t) => {
    const womack = connect(t, server.port);
    const got = collector();
    womack.subscribe('twice', got);
    await womack.subscribe('twice', got);
    await redis.publish('twice', '{"data":1}');
    await redis.publish('twice', '{"data":2}');
    assert.deepEqual(await got.until(2), [1, 2]);
  });

  test('unsubscribing a callback leaves the others', async (t) => {
    const womack = connect(t, server.port);
    const [one, other] = [collector(), collector()];
    womack.subscribe('shared', one);
    await womack.subscribe('shared', other);
    womack.unsubscribe('shared', one);
    await redis.publish('shared', '{"data":1}');
    await other.until(1);
    assert.deepEqual(one.received, []);
  });

  test('unsubscribing a channel ends it at the server too', async (t) => {
    const womack = connect(t, server.port);
    const got = collector();
    const events = collector();
    womack.io.on('ended', events);
    await womack.subscribe(['ended', 'marker'], got);
    womack.unsubscribe('ended');
    await womack.subscribe('afterwards'); // The server has read the line before this one.
    await redis.publish('ended', '{"data":1}');
    await redis.publish('marker', '{"data":2}');
    assert.deepEqual(await got.until(1), [2]);
    assert.deepEqual(events.received, []);
  });

  test('unsubscribed before it was live: the promise says so', async (t) => {
    const womack = connect(t, server.port);
    const live = womack.subscribe('hasty');
    womack.unsubscribe('hasty');
    await assert.rejects(live, { code: 'unsubscribed', channel: 'hasty' });
  });

  test('a refused channel disturbs no other', async (t) => {
    const womack = connect(t, server.port);
    const refusal = next(womack, 'subscribe_error');
    const bad = womack.subscribe(['connect', 'good']);
    const good = womack.subscribe(['good', 'better']);
    await assert.rejects(bad, { code: 'bad_channel', channel: 'connect' });
    assert.deepEqual(await good, ['good', 'better']);
    assert.equal((await refusal)[0].channel, 'connect');
    await assert.rejects(womack.subscribe('connect'), { code: 'bad_channel' }, 'asked anew');
  });

  test('as many channels as the server allows are live', async (t) => {
    const womack = connect(t, server.port);
    const all = Array.from({ length: 603 }, (_, i) => womack.subscribe(`many ${i}`));
    const results = await Promise.allSettled(all);
    const refused = results.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 3);
    assert.ok(refused.every(({ reason }) => reason.code === 'too_many_channels'));
  });

  test('a message can except its sender', async (t) => {
    const [sender, other] = [connect(t, server.port), connect(t, server.port)];
    const [fromSender, fromOther] = [collector(), collector()];
    await sender.subscribe('except', fromSender);
    await other.subscribe('except', fromOther);
    await redis.publish('except', JSON.stringify({ data: 1, except: sender.sessionID }));
    await redis.publish('except', '{"data":2}');
    assert.deepEqual(await fromSender.until(1), [2]);
    assert.deepEqual(await fromOther.until(2), [1, 2]);
  });
});
