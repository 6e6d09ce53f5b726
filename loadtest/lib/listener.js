// A client over WebSocket that stays until it has the last message of the run, or until `end`.

import { Counter } from 'k6/metrics';
import { Delivery, thresholds as deliveryThresholds } from './delivery.js';
import { settings } from './settings.js';
import { listen } from './socketio.js';

const subscribed = new Counter('clients_subscribed');
const failed = new Counter('clients_failed');

// What is to hold when so many clients have listened.
export function thresholds(clients) {
  return Object.assign({}, deliveryThresholds, {
    clients_subscribed: [`count==${clients}`],
    clients_failed: ['count==0'],
  });
}

export function listenUntil(end, channel) {
  const delivery = new Delivery();
  const client = listen(settings.url, channel, {
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
  const timeout = setTimeout(leave, Math.max(end - Date.now(), 0));

  function leave() {
    clearTimeout(timeout);
    delivery.end();
    client.close();
  }
}
