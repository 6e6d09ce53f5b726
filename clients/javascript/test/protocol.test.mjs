// The bytes, with the test as the server.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { collector, connect, next } from './support/client.mjs';
import { startPeer } from './support/peer.mjs';

const OPEN =
  '0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}';

/** A client and the server's ends of its connections, one after the other. */
async function talk(t, options) {
  const conversations = [];
  let wake = () => {};
  const port = await startPeer(t, (conversation) => {
    conversations.push(conversation);
    wake();
  });
  const womack = connect(t, port, { transports: ['websocket'], ...options });
  const accepted = async () => {
    while (!conversations.length) await new Promise((resolve) => (wake = resolve));
    return conversations.shift();
  };
  return [womack, accepted];
}

test('says what the specification asks for', async (t) => {
  const [womack, conversation] = await talk(t);
  const live = womack.subscribe('a');
  const peer = await conversation();
  assert.equal(await peer.accept(), '40');
  assert.equal(await peer.hear(), '421["subscribe",{"channels":["a"]}]');
  peer.say('431[{"ok":true,"channels":["a"]}]');
  assert.deepEqual(await live, ['a']);
  peer.say('2');
  assert.equal(await peer.hear(), '3');
  womack.unsubscribe('a');
  assert.equal(await peer.hear(), '42["unsubscribe",{"channels":["a"]}]');
  womack.io.disconnect();
  assert.equal(await peer.hear(), '41');
});

test('subscriptions of one turn are one request', async (t) => {
  const [womack, conversation] = await talk(t);
  const peer = await conversation();
  await peer.accept();
  await next(womack, 'connect');
  womack.subscribe('a');
  womack.subscribe(['b', 'a']);
  assert.equal(await peer.hear(), '421["subscribe",{"channels":["a","b"]}]');
});

test('sends meta and what was emitted early, then meta again after a reconnect', async (t) => {
  const [womack, conversation] = await talk(t);
  womack.meta = { user: 1 };
  assert.deepEqual(womack.meta, { user: 1 });
  womack.subscribe('a');
  womack.io.emit('event', 'x');
  let peer = await conversation();
  await peer.accept();
  // What follows is the client of whom that is known.
  assert.equal(await peer.hear(), '42["meta",{"user":1}]');
  assert.equal(await peer.hear(), '42["event","x"]');
  assert.match(await peer.hear(), /"subscribe"/);
  peer.say('1');
  peer = await conversation();
  await peer.accept();
  assert.equal(await peer.hear(), '42["meta",{"user":1}]');
  assert.match(await peer.hear(), /"subscribe"/);
  womack.meta = null;
  assert.equal(await peer.hear(), '42["meta",null]');
});

test('a request that the connection does not survive is rejected', async (t) => {
  const [womack, conversation] = await talk(t);
  const peer = await conversation();
  await peer.accept();
  const presence = womack.presence('a');
  assert.match(await peer.hear(), /"presence"/);
  peer.say('1');
  await assert.rejects(presence, { code: 'disconnected', channel: 'a' });
});

test('asks for auth at each connect', async (t) => {
  let token = 0;
  const [womack, conversation] = await talk(t, { auth: async () => ({ token: ++token }) });
  for (const expected of ['40{"token":1}', '40{"token":2}']) {
    const peer = await conversation();
    const connected = next(womack, 'connect');
    assert.equal(await peer.accept(), expected);
    await connected;
    peer.say('41');
  }
});

test('auth that fails is an error, and tried again', async (t) => {
  let calls = 0;
  const auth = async () => {
    if (++calls === 1) throw new Error('no token');
    return { token: calls };
  };
  const [womack, conversation] = await talk(t, { auth });
  const failed = next(womack, 'connect_error');
  (await conversation()).accept();
  assert.equal((await failed)[0].message, 'no token');
  assert.equal(await (await conversation()).accept(), '40{"token":2}');
});

test('a refused CONNECT is an error with its data', async (t) => {
  const [womack, conversation] = await talk(t, { namespace: '/another' });
  const failed = next(womack, 'connect_error');
  const peer = await conversation();
  peer.say(OPEN);
  assert.equal(await peer.hear(), '40/another,');
  peer.say('44/another,{"message":"Not you","data":{"code":7}}');
  const [error] = await failed;
  assert.deepEqual([error.message, error.data], ['Not you', { code: 7 }]);
  await conversation();
});

test('a namespace keeps to itself', async (t) => {
  const [womack, conversation] = await talk(t, { namespace: '/another' });
  const event = next(womack.io, 'a');
  const answer = new Promise((resolve) => womack.io.emit('question', resolve));
  const peer = await conversation();
  peer.say(OPEN);
  await peer.hear();
  peer.say('40/another,{"sid":"s"}');
  assert.equal(await peer.hear(), '42/another,1["question"]');
  peer.say('42["a","for another namespace"]');
  peer.say('42/another,["a","for this one"]');
  peer.say('43/another,1["answer"]');
  assert.deepEqual(await event, ['for this one']);
  assert.equal(await answer, 'answer');
});

for (const [what, packet, reason] of [
  ['the server disconnects it', '41', 'io server disconnect'],
  ['the session is closed', '1', 'transport close'],
  ['JSON is malformed', '42["a"', 'parse error'],
  ['a packet is unknown', 'x', 'parse error'],
  ['an event has no name', '42', 'parse error'],
]) {
  test(`connects again when ${what}`, async (t) => {
    const [womack, conversation] = await talk(t);
    const lost = next(womack, 'disconnect');
    const peer = await conversation();
    await peer.accept();
    peer.say(packet);
    assert.deepEqual(await lost, [reason]);
    const back = next(womack, 'connect');
    await (await conversation()).accept();
    await back;
  });
}

test('asks again where the server has no Redis yet', async (t) => {
  const [womack, conversation] = await talk(t);
  const live = womack.subscribe('a');
  const peer = await conversation();
  await peer.accept();
  for (const id of [1, 2]) {
    assert.equal(await peer.hear(), `42${id}["subscribe",{"channels":["a"]}]`);
    peer.say(`43${id}[{"ok":false,"error":"unavailable","message":"later"}]`);
  }
  assert.equal(await peer.hear(), '423["subscribe",{"channels":["a"]}]');
  peer.say('433[{"ok":true,"channels":["a"]}]');
  await live;
});

test('finds the refused channel among many', async (t) => {
  const [womack, conversation] = await talk(t);
  const live = womack.subscribe(['a', 'b', 'c']);
  const peer = await conversation();
  await peer.accept();
  const asked = [];
  for (let id = 1; id <= 5; id++) {
    const { channels } = JSON.parse(/\[.*/.exec(await peer.hear())[0])[1];
    asked.push(channels.join(''));
    const ok = !channels.includes('b');
    peer.say(`43${id}[${JSON.stringify(ok ? { ok } : { ok, error: 'forbidden', message: 'no' })}]`);
  }
  assert.deepEqual(asked, ['abc', 'a', 'bc', 'b', 'c']);
  await assert.rejects(live, { code: 'forbidden', channel: 'b', message: 'no' });
  await womack.subscribe(['a', 'c']);
});

test('gives up on a server that accepts and says nothing', async (t) => {
  const [womack, conversation] = await talk(t, { timeout: 100 });
  const silent = next(womack, 'connect_error');
  await conversation();
  assert.equal((await silent)[0].message, 'timeout');
  const silentLater = next(womack, 'connect_error');
  (await conversation()).say(OPEN);
  assert.equal((await silentLater)[0].message, 'timeout');
});

/** A server that is polled: answers with these payloads, then holds; collects what is posted. */
async function startPolled(t, payloads) {
  const posted = collector();
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      posted((await request.setEncoding('utf8').toArray()).join(''));
      response.end('ok');
    } else if (payloads.length) {
      response.end(payloads.shift());
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return [server.address().port, posted];
}

test('takes a polling payload apart and says goodbye with what is left to say', async (t) => {
  const [port, posted] = await startPolled(t, [OPEN, '40{"sid":"s"}\x1e42["a",1]\x1e2\x1e42["a",2]']);
  const womack = connect(t, port, { transports: ['polling'] });
  const events = collector();
  womack.io.on('a', events);
  assert.deepEqual(await events.until(2), [1, 2]);
  await posted.until(2);
  womack.io.emit('b');
  womack.io.disconnect();
  assert.deepEqual(await posted.until(3), ['40', '3', '42["b"]\x1e41\x1e1']);
});

test('no polling payload is larger than the server takes', async (t) => {
  const [port, posted] = await startPolled(t, [OPEN, '40{"sid":"s"}']);
  const womack = connect(t, port, { transports: ['polling'] });
  const texts = Array.from({ length: 9 }, (_, i) => `${i}`.repeat(i * 5));
  for (const text of texts) womack.io.emit(text);
  const packets = [];
  for (let count = 2; packets.length < texts.length; count++) {
    const payload = (await posted.until(count)).at(-1);
    assert.ok(payload.length <= 100);
    packets.push(...payload.split('\x1e'));
  }
  assert.deepEqual(packets, texts.map((text) => `42["${text}"]`));
  assert.ok(posted.received.some((payload) => payload.includes('\x1e')), 'some are joined');
});

for (const [what, payload] of [
  ['something else', '<html>Please log in</html>'],
  ['nothing', ''],
]) {
  test(`an answer to a poll that is ${what} is an error`, async (t) => {
    const [port] = await startPolled(t, [payload]);
    const womack = connect(t, port, { transports: ['polling'] });
    const [error] = await next(womack, 'connect_error');
    assert.equal(error.message, 'parse error');
  });
}
