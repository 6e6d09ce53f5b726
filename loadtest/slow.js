// SLOW clients subscribe over HTTP long-polling and do not poll for STALL, while CLIENTS others
// listen to the same channel and must lose nothing. What was published meanwhile must be more than
// the server keeps for a client (publish.py --bytes), and each slow client is to be cut off; where
// the server keeps some of it instead (--slow-client), say KEPT=1.

import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { listenUntil, thresholds } from './lib/listener.js';
import { once, ownClients, settings, vus } from './lib/settings.js';
import { Poller } from './lib/socketio.js';

const cut = new Counter('slow_cut');
const kept = new Counter('slow_kept');
const failed = new Counter('slow_failed');
const lateBytes = new Trend('slow_bytes');
const queueLimit = Number(__ENV.QUEUE_BYTES || 2 * 1024 * 1024);

export const options = {
  scenarios: {
    slow: Object.assign(once(settings.slow, settings.stall), { exec: 'slow' }),
    others: Object.assign(once(vus, settings.ramp + settings.duration), { exec: 'others' }),
  },
  thresholds: Object.assign(thresholds(settings.clients), {
    [__ENV.KEPT ? 'slow_kept' : 'slow_cut']: [`count==${settings.slow}`],
    slow_failed: ['count==0'],
    // However much was published, no more waits for a client than the limit.
    slow_bytes: [`max<${queueLimit}`],
  }),
};

export function slow() {
  let isSubscribed = false;
  const client = new Poller(settings.url, settings.channel, {
    subscribed: () => {
      isSubscribed = true;
    },
    failed: (reason) => {
      console.error(reason);
      failed.add(1);
    },
  });
  while (!isSubscribed && client.turn());
  if (!isSubscribed) {
    return;
  }
  sleep(settings.stall / 1000);
  const answer = client.get('late');
  // An answer that is no session's (400) says that the server has given it up.
  if (answer.status === 200) {
    kept.add(1);
    lateBytes.add(answer.body.length);
  } else if (answer.status === 400) {
    cut.add(1);
    lateBytes.add(0);
  } else {
    console.error(`GET answered ${answer.status} ${answer.body}`);
    failed.add(1);
  }
}

export function others() {
  const end = exec.scenario.startTime + settings.ramp + settings.duration;
  ownClients().forEach((n) => {
    setTimeout(() => listenUntil(end, settings.channel), (settings.ramp * n) / settings.clients);
  });
}
