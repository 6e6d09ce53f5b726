// Reads /stats every second and shows what changed: all rates and percentiles are differences
// between two readings, so the server keeps nothing for anybody who looks.

import { Chart } from './chart.js';

const INTERVAL = 1000;
const PATIENCE = 5000;
// Readings that are kept: two minutes.
const KEPT = 121;
const SHOWN_CHANNELS = 25;
// Of these, those that brought most messages in the last second.
const SHOWN_HOT = 10;
const FULL = 0.85;

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const count = (number) => (number < 100000 ? whole : short).format(number);
const rate = (number) => (number > 0 && number < 10 ? number.toFixed(1) : count(number));

const charts = {
  deliveries: new Chart($('deliveries-chart'), 'Deliveries a second', ['now'], rate),
  latency: new Chart($('latency-chart'), 'From Redis to the socket', ['p50', 'p90', 'p99'], time),
  clients: new Chart($('clients-chart'), 'Clients', ['all'], count),
};

let readings = [];
let points = [];

function time(seconds) {
  if (seconds === null) {
    return '–';
  }
  const milliseconds = seconds * 1000;
  if (milliseconds < 1000) {
    return `${milliseconds.toPrecision(milliseconds < 1 ? 2 : 3)} ms`;
  }
  return `${seconds.toPrecision(3)} s`;
}

function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = number < 1 ? 0 : Math.min(Math.floor(Math.log2(number) / 10), units.length - 1);
  return `${Number((number / 1024 ** power).toPrecision(3))} ${units[power]}`;
}

function duration(seconds) {
  const steps = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const [length, unit] = steps.find(([length]) => seconds >= length) || steps[3];
  return `${Math.floor(seconds / length)} ${unit}`;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const clientsOf = (stats) => sum(Object.values(stats.connections));
const deliveriesOf = (stats) => sum(stats.shards.map((shard) => shard.deliveries));

// Below which time the given part of what was counted between two readings lies, or null if
// nothing was counted. Within a bucket times are taken for evenly spread.
function quantile(before, now, part) {
  const counts = now.counts.map((n, at) => n - before.counts[at]);
  let left = sum(counts) * part;
  if (left === 0) {
    return null;
  }
  for (const [at, number] of counts.entries()) {
    if (left <= number) {
      const low = at === 0 ? 0 : now.bounds_seconds[at - 1];
      const high = at < now.bounds_seconds.length ? now.bounds_seconds[at] : low;
      return low + (high - low) * (left / number);
    }
    left -= number;
  }
  return null;
}

function pointOf(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const perSecond = (what) => Math.max(what(now) - what(before), 0) / seconds;
  const quantiles = [0.5, 0.9, 0.99].map((part) => quantile(before.delivery, now.delivery, part));
  return {
    at: now.at,
    deliveries: perSecond(deliveriesOf),
    messages: perSecond((stats) => stats.messages),
    sent: perSecond((stats) => stats.sent_bytes),
    opened: perSecond((stats) => stats.opened),
    quantiles,
    clients: clientsOf(now),
  };
}

function take(stats) {
  stats.at = performance.now();
  const before = readings.at(-1);
  // Another process, or a proxy that leads to several: nothing to compare with.
  if (before && (before.node !== stats.node || before.uptime_seconds > stats.uptime_seconds)) {
    readings = [];
    points = [];
  } else if (before) {
    points.push(pointOf(before, stats));
  }
  readings.push(stats);
  readings = readings.slice(-KEPT);
  points = points.slice(-(KEPT - 1));
}

function badge(id, isUp, text) {
  $(id).dataset.state = isUp ? 'up' : 'down';
  say(id, text);
}

// Sets a text that has changed, so that screen readers do not repeat what has not.
function say(id, text) {
  if ($(id).textContent !== text) {
    $(id).textContent = text;
  }
}

function showHeader(stats) {
  const state = `node ${stats.node}, version ${stats.version}, up ${duration(stats.uptime_seconds)}`;
  say('node', state);
  badge('state', stats.unready === null, stats.unready === null ? 'ready' : stats.unready);
  badge('link', stats.redis.connected, stats.redis.connected ? 'Redis connected' : 'Redis is gone');
}

function showTiles(stats, point) {
  const kinds = { websocket: 'WebSocket', polling: 'polling', ws: 'plain', sse: 'streams' };
  const open = Object.entries(stats.connections).filter(([, number]) => number > 0);
  open.sort((a, b) => b[1] - a[1]);
  say('clients', count(clientsOf(stats)));
  say('clients-more', open.map(([kind, n]) => `${count(n)} ${kinds[kind] || kind}`).join(', ') || 'nobody');
  if (!point) {
    return;
  }
  say('deliveries', rate(point.deliveries));
  say('deliveries-more', `${bytes(point.sent)} a second`);
  say('messages', rate(point.messages));
  say('messages-more', `${count(stats.messages_rejected)} dropped, ${count(stats.messages_unwanted)} unwanted ever`);
  const known = points.findLast(({ quantiles }) => quantiles[2] !== null);
  say('latency', known ? time(known.quantiles[2]) : '–');
  say('latency-more', known ? `p50 ${time(known.quantiles[0])}` : 'nothing delivered yet');
}

function showCharts() {
  charts.deliveries.draw([points.map((point) => point.deliveries)], KEPT - 1);
  charts.latency.draw([0, 1, 2].map((at) => points.map(({ quantiles }) => quantiles[at])), KEPT - 1);
  charts.clients.draw([points.map((point) => point.clients)], KEPT - 1);
}

function row(heading, cells) {
  const line = document.createElement('tr');
  const first = document.createElement('th');
  first.scope = 'row';
  first.textContent = heading;
  first.title = heading;
  line.append(first);
  for (const content of cells) {
    const cell = document.createElement('td');
    cell.append(content);
    cell.className = content instanceof Node ? '' : 'number';
    line.append(cell);
  }
  return line;
}

function meter(part) {
  const cell = document.createDocumentFragment();
  const track = document.createElement('span');
  const filled = document.createElement('span');
  track.className = 'meter';
  track.toggleAttribute('data-full', part > FULL);
  filled.style.width = `${Math.min(part, 1) * 100}%`;
  track.append(filled);
  cell.append(track, `${Math.round(part * 100)} %`);
  return cell;
}

function showShards(before, stats) {
  const seconds = before ? (stats.at - before.at) / 1000 : 1;
  const rows = stats.shards.map((shard, at) => {
    const old = before ? before.shards[at] : shard;
    const cpu = (shard.cpu_seconds - old.cpu_seconds) / seconds;
    return row(String(at), [
      meter(cpu),
      count(shard.connections),
      rate((shard.deliveries - old.deliveries) / seconds),
      count(shard.queue_depth),
      time(quantile(old.lag, shard.lag, 1)),
    ]);
  });
  $('shards').replaceChildren(...rows);
}

function showRedis(stats) {
  const commands = sum(stats.shards.map((shard) => shard.commands));
  const batches = sum(stats.shards.map((shard) => shard.batches));
  const lines = [
    ['Channels subscribed', count(stats.redis.channels)],
    ['Subscriptions of clients', count(stats.subscriptions)],
    ['Links lost', `${count(stats.redis.gaps)} (${duration(stats.redis.gap_seconds)} blind)`],
    ['Bytes waiting for clients', bytes(stats.client_queue_bytes)],
    ['Commands in a batch', batches > 0 ? (commands / batches).toFixed(1) : '–'],
    ['Events from clients', count(stats.client_events)],
  ];
  const nodes = lines.flatMap(([name, value]) => {
    const term = document.createElement('dt');
    const detail = document.createElement('dd');
    term.textContent = name;
    detail.textContent = value;
    return [term, detail];
  });
  $('redis').replaceChildren(...nodes);
}

function showClosed(stats) {
  const oldest = readings[0];
  const reasons = Object.entries(stats.closed).filter(([, ever]) => ever > 0);
  reasons.sort((a, b) => b[1] - a[1]);
  const rows = reasons.map(([reason, ever]) =>
    row(reason.replaceAll('_', ' '), [count(ever - (oldest.closed[reason] || 0)), count(ever)]));
  $('closed').replaceChildren(...rows);
  $('closed-none').hidden = rows.length > 0;
  $('closed-some').hidden = rows.length === 0;
}

// Messages begin again at 2^32, and at 0 when a channel's last client has gone.
function messagesSince(before, now) {
  return before === undefined ? 0 : Math.max(now - before, 0);
}

function showChannels(before, stats) {
  if (stats.channels === null) {
    say('channels-more', 'Names are told at --admin-listen, or on the machine itself.');
    return;
  }
  let seconds = 1;
  const old = new Map();
  if (before && before.channels) {
    // Channels were counted some time before they were read.
    const age = stats.channels.age_seconds - before.channels.age_seconds;
    seconds = (stats.at - before.at) / 1000 - age;
    before.channels.busiest.forEach((line) => old.set(line.redis_channel, line.messages));
  }
  const { busiest, hot } = stats.channels;
  const counted = new Map(busiest.map((line) => [line.redis_channel, {
    ...line,
    rate: messagesSince(old.get(line.redis_channel), line.messages) / seconds,
  }]));
  // Those that brought most messages in the last second come first: they may be new.
  const lines = new Map(hot.slice(0, SHOWN_HOT).map((line) => [line.redis_channel, {
    ...line,
    rate: line.messages_per_second,
  }]));
  counted.forEach((line, name) => {
    const found = lines.get(name);
    const known = old.has(name) || found === undefined ? line.rate : found.rate;
    lines.set(name, { ...found, ...line, rate: known });
  });
  const rows = [...lines.values()].slice(0, SHOWN_CHANNELS).map((line) =>
    row(line.channel, [
      count(line.subscribers),
      rate(line.rate),
      line.bytes_per_second === undefined ? '–' : bytes(line.bytes_per_second),
    ]));
  $('channels').replaceChildren(...rows);
  const shown = rows.length
    ? `The ${rows.length} with most messages or clients`
    : 'Nobody has subscribed';
  say('channels-more', `${shown}; ${count(stats.redis.channels)} in all.`);
}

function show() {
  const stats = readings.at(-1);
  const before = readings.at(-2);
  showHeader(stats);
  showTiles(stats, points.at(-1));
  showCharts();
  showShards(before, stats);
  showRedis(stats);
  showClosed(stats);
  showChannels(before, stats);
}

function complain(text) {
  say('notice', text);
  $('notice').hidden = text === '';
}

async function read() {
  const answer = await fetch('stats', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) {
    throw new Error(`/stats answered ${answer.status}`);
  }
  take(await answer.json());
  show();
}

async function run() {
  if (!document.hidden) {
    try {
      await read();
      complain('');
    } catch (error) {
      badge('state', false, 'no answer');
      complain(`What is shown is old: ${error.message}. Trying again.`);
    }
  }
  setTimeout(run, INTERVAL);
}

run();
