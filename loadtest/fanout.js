// CLIENTS clients listen to one channel over WebSocket while publish.py publishes to it.
// Ends when every client has the last message of the run, or after RAMP and DURATION.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { Delivery, thresholds as deliveryThresholds } from './lib/delivery.js';
import { once, ownClients, settings, vus } from './lib/settings.js';
import { listen } from './lib/socketio.js';

const subscribed = new Counter('clients_subscribed');
const failed = new Counter('clients_failed');

export const options = {
  scenarios: { fanout: once(vus, settings.ramp + settings.duration) },
  thresholds: Object.assign({}, deliveryThresholds, {
    clients_subscribed: [`count==${settings.clients}`],
    clients_failed: ['count==0'],
  }),
};

export default function () {
  ownClients().forEach((n) => {
    setTimeout(open, (settings.ramp * n) / settings.clients);
  });
}

function open() {
  const delivery = new Delivery();
  const client = listen(settings.url, settings.channel, {
    subscribed: () => subscribed.add(1),
    message: (envelope) => {
      delivery.take(envelope);
      if (delivery.complete()) {
        leave();
      }
    },
    failed: (reason) => {
      console.error(reason);
      failed.add(1);
      leave();
    },
  });

  const end = exec.scenario.startTime + settings.ramp + settings.duration;
  const timeout = setTimeout(leave, Math.max(end - Date.now(), 0));

  function leave() {
    clearTimeout(timeout);
    delivery.end();
    client.close();
  }
}
