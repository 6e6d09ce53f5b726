// CLIENTS clients listen to one channel over WebSocket while publish.py publishes to it.
// Ends when every client has the last message of the run, or after RAMP and DURATION.

import exec from 'k6/execution';
import { listenUntil, thresholds } from './lib/listener.js';
import { once, ownClients, settings, vus } from './lib/settings.js';

export const options = {
  scenarios: { fanout: once(vus, settings.ramp + settings.duration) },
  thresholds: thresholds(settings.clients),
};

export default function () {
  const end = exec.scenario.startTime + settings.ramp + settings.duration;
  ownClients().forEach((n) => {
    setTimeout(() => listenUntil(end, settings.channel), (settings.ramp * n) / settings.clients);
  });
}
