// CLIENTS clients are spread over CHANNELS channels while publish.py --channels publishes a run to
// each. Ends when every client has the last message of its channel, or after RAMP and DURATION.

import exec from 'k6/execution';
import { listenUntil, thresholds } from './lib/listener.js';
import { once, ownClients, settings, vus } from './lib/settings.js';

export const options = {
  scenarios: { channels: once(vus, settings.ramp + settings.duration) },
  thresholds: thresholds(settings.clients),
};

export default function () {
  const end = exec.scenario.startTime + settings.ramp + settings.duration;
  ownClients().forEach((n) => {
    const channel = `${settings.channel}:${n % settings.channels}`;
    setTimeout(() => listenUntil(end, channel), (settings.ramp * n) / settings.clients);
  });
}
