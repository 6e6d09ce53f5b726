// CLIENTS clients connect and subscribe, evenly spread over DURATION, stay for HOLD and leave.
// Nothing needs to be published.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { once, ownClients, settings, vus } from './lib/settings.js';
import { listen } from './lib/socketio.js';

const connectTime = new Trend('connect_time', true);
const subscribeTime = new Trend('subscribe_time', true);
const subscribed = new Counter('clients_subscribed');
const failed = new Counter('clients_failed');

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
  let connected = opened;
  const client = listen(settings.url, settings.channel, {
    connected: () => {
      connected = Date.now();
      connectTime.add(connected - opened);
    },
    subscribed: () => {
      subscribeTime.add(Date.now() - connected);
      subscribed.add(1);
    },
    failed: (reason) => {
      console.error(reason);
      failed.add(1);
      clearTimeout(timeout);
    },
  });

  const end = exec.scenario.startTime + settings.duration + settings.hold;
  const timeout = setTimeout(() => client.close(), Math.max(end - Date.now(), 0));
}
