// What a page tells the application behind the server, and learns of others.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { connect } from './support/client.mjs';
import { startRedis, startWomack } from './support/server.mjs';

let redis;
let server;

before(async () => {
  redis = await startRedis();
  const flags = ['--events-key', 'events', '--client-events', '--presence', '/', '--namespace', '/quiet'];
  server = await startWomack(redis, flags);
});

after(async () => {
  await server?.stop();
  await redis?.stop();
});

for (const transport of ['websocket', 'polling']) {
  test(`meta, event and presence over ${transport}`, async (t) => {
    const events = await redis.listen('events:subscribe', 'events:custom');
    t.after(() => events.stop());
    const womack = connect(t, server.port, { transports: [transport] });
    womack.meta = { user_id: transport };
    await womack.subscribe(transport);
    const told = JSON.parse(await events.next());
    assert.deepEqual(
      [told.channel, told.meta, told.session_id],
      [transport, { user_id: transport }, womack.sessionID],
    );
    const members = [{ user_id: transport }];
    assert.deepEqual(await womack.presence(transport), { count: 1, members });
    await womack.event(['clicked', 1]);
    assert.deepEqual(JSON.parse(await events.next()).data, ['clicked', 1]);
  });
}

test('what the server forbids is rejected with its code', async (t) => {
  const womack = connect(t, server.port, { namespace: '/quiet' });
  await assert.rejects(womack.presence('a'), { code: 'forbidden', channel: 'a' });
  await assert.rejects(womack.event('x'.repeat(5000)), { code: 'bad_request' });
});
