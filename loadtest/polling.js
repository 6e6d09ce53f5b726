// CLIENTS clients listen to one channel over HTTP long-polling while publish.py publishes to it.
// Ends when every client has the last message of the run, or after DURATION and one poll more.
// Each client takes a VU of its own, since k6's HTTP calls block.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { Delivery, thresholds as deliveryThresholds } from './lib/delivery.js';
import { once, settings } from './lib/settings.js';
import { Poller } from './lib/socketio.js';

const subscribed = new Counter('clients_subscribed');
const failed = new Counter('clients_failed');

export const options = {
  scenarios: { polling: once(settings.clients, settings.duration) },
  thresholds: Object.assign({}, deliveryThresholds, {
    clients_subscribed: [`count==${settings.clients}`],
    clients_failed: ['count==0'],
  }),
};

export default function () {
  const delivery = new Delivery();
  const end = exec.scenario.startTime + settings.duration;
  const on = {
    subscribed: () => subscribed.add(1),
    message: (envelope) => delivery.take(envelope),
    failed: (reason) => {
      console.error(reason);
      failed.add(1);
    },
  };

  const client = new Poller(settings.url, settings.channel, on);
  while (!delivery.complete() && Date.now() < end && client.turn());
  client.leave();
  delivery.end();
}
