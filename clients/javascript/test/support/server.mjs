// Real servers for the tests: a Redis, and a Womack in front of it.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = process.env.WOMACK_BIN;

// A test that takes too long is ended from outside; what it started ends with it.
const children = new Set();
process.once('SIGTERM', () => process.exit(1));
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A Redis of its own on a Unix socket, so that no port need be found. */
export async function startRedis() {
  const directory = await mkdtemp(join(tmpdir(), 'womack-js-'));
  const path = join(directory, 'redis.sock');
  const redis = await start(
    'redis-server',
    ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory],
    'stdout',
    (line) => line.includes('eady to accept connections'),
  );
  return {
    url: `unix://${path}`,
    /** Publishes a JSON text; tells how many servers got it. */
    publish: (channel, json) => command(path, ['PUBLISH', `womack:ns:default:${channel}`, json]),
    /** Cuts the connections of all subscribers. */
    cut: () => command(path, ['CLIENT', 'KILL', 'TYPE', 'pubsub']),
    /** Subscribes to Redis channels; `next()` waits for the next message on any of them. */
    listen: (...channels) => listen(path, channels),
    async stop() {
      await redis.stop();
      await rm(directory, { recursive: true });
    },
  };
}

/** The server under test; `flags` such as `['--namespace', '/another']`. */
export async function startWomack(redis, flags = []) {
  if (!BINARY) throw new Error('set WOMACK_BIN to the path of the womack binary');
  let address;
  const womack = await start(
    BINARY,
    ['--host', '127.0.0.1', '--port', '0', '--redis-url', redis.url, ...flags],
    'stderr',
    (line) => {
      const { fields } = line.startsWith('{') ? JSON.parse(line) : {};
      if (fields?.message === 'listening') address = fields.address;
      return address;
    },
  );
  return { port: Number(address.split(':').at(-1)), stop: womack.stop };
}

/** Runs a program until its output has the line that says it is ready. */
async function start(program, args, stream, isReady) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  exited.then(() => children.delete(child));
  const output = [];
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    exited.then((code) => reject(new Error(`${program} exited with ${code}:\n${output.join('\n')}`)));
    for (const name of ['stdout', 'stderr']) {
      createInterface({ input: child[name] }).on('line', (line) => {
        output.push(line);
        if (name === stream && isReady(line)) resolve();
      });
    }
  });
  return {
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Messages on Redis channels, in their order; they must be of one line each. */
async function listen(path, channels) {
  const socket = connect(path);
  const messages = [];
  let wake = () => {};
  let confirmed = 0;
  let lines = [];
  createInterface({ input: socket }).on('line', (line) => {
    lines.push(line);
    // *3, then type, channel and payload, each after a line with its length; a count has none.
    if (lines[2] === 'subscribe' && lines.length === 6) confirmed++;
    else if (lines[2] === 'message' && lines.length === 7) messages.push(lines[6]);
    else return;
    lines = [];
    wake();
  });
  const until = (condition) =>
    new Promise((resolve) => {
      wake = () => condition() && resolve();
      wake();
    });
  socket.write(`SUBSCRIBE ${channels.join(' ')}\r\n`);
  await until(() => confirmed === channels.length);
  return {
    async next() {
      await until(() => messages.length);
      return messages.shift();
    },
    stop: () => socket.destroy(),
  };
}

/** One Redis command on a connection of its own; its answer is an integer. */
function command(path, words) {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('data', (answer) => {
      socket.end();
      resolve(Number(answer.toString().slice(1)));
    });
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join('')}`);
  });
}
