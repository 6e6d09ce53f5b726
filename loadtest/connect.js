// CLIENTS clients connect and subscribe, evenly spread over DURATION, stay for HOLD and leave.
// Nothing needs to be published.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { once, ownClients, settings, vus } from './lib/settings.js';
import { listen } from './lib/socketio.js';

const connectTime = new Trend('connect_time', true);
const subscribeTime = new Trend('subscribe_time', true);
const subscribed = new Counter('clients_subscribed');
const clientsFailed = new Counter('clients_failed');
// Beyond the end of a run, for an answer that is late.
const PATIENCE = 30000;

export const options = {
  scenarios: { connect: once(vus, settings.duration + settings.hold) },
  thresholds: {
    connect_time: [`p(99)<${settings.latency}`],
    subscribe_time: [`p(99)<${settings.latency}`],
    clients_subscribed: [`count==${settings.clients}`],
    clients_failed: ['count==0'],
  },
};

export default function () {
  ownClients().forEach((n) => {
    setTimeout(open, (settings.duration * n) / settings.clients);
  });
}

function open() {
  const opened = Date.now();
  const end = exec.scenario.startTime + settings.duration + settings.hold;
  let connected = opened;
  let timer;
  const client = listen(settings.url, settings.channel, {
    connected: () => {
      connected = Date.now();
      connectTime.add(connected - opened);
    },
    subscribed: () => {
      subscribeTime.add(Date.now() - connected);
      subscribed.add(1);
      wait(end, () => client.close());
    },
    failed,
  });
  // k6 may be late itself: a client whose turn came at the end still has its time to subscribe.
  wait(end + PATIENCE, () => {
    client.close();
    failed('no answer to the subscription');
  });

  function failed(reason) {
    console.error(reason);
    clientsFailed.add(1);
    clearTimeout(timer);
  }

  function wait(until, then) {
    clearTimeout(timer);
    timer = setTimeout(then, Math.max(until - Date.now(), 0));
  }
}
