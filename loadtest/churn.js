// CLIENTS clients connect, subscribe, stay for STAY, leave and come again, for DURATION. Each time
// the acknowledgement must come; a publisher may run beside it or not.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { once, ownClients, settings, vus } from './lib/settings.js';
import { listen } from './lib/socketio.js';

const subscribeTime = new Trend('come_time', true);
const visits = new Counter('visits');
const failed = new Counter('clients_failed');

export const options = {
  scenarios: { churn: once(vus, settings.duration) },
  thresholds: {
    come_time: [`p(99)<${settings.latency}`],
    // Each client comes more than once, or there was no churn.
    visits: [`count>=${2 * settings.clients}`],
    clients_failed: ['count==0'],
  },
};

export default function () {
  const end = exec.scenario.startTime + settings.duration;
  // Spread over one stay, so that comings are even from the start.
  ownClients().forEach((n) => {
    setTimeout(() => come(end), (settings.stay * n) / settings.clients);
  });
}

function come(end) {
  const opened = Date.now();
  const client = listen(settings.url, settings.channel, {
    subscribed: () => {
      subscribeTime.add(Date.now() - opened);
      setTimeout(leave, settings.stay);
    },
    failed: (reason) => {
      console.error(reason);
      failed.add(1);
    },
  });

  function leave() {
    client.close();
    visits.add(1);
    if (Date.now() < end) {
      come(end);
    }
  }
}
