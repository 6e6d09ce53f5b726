// What the environment asks for: URL, CLIENTS, DURATION, CHANNEL and a few more, with defaults.

import exec from 'k6/execution';

function whole(name, fallback) {
  const value = Number(__ENV[name] || fallback);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`${name} must be a whole number above 0, not ${__ENV[name]}`);
  }
  return value;
}

// "500ms", "90s", "90", "2m" or "1h", as milliseconds.
function milliseconds(name, fallback) {
  const units = { ms: 1, s: 1000, m: 60000, h: 3600000 };
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(__ENV[name] || fallback);
  if (match === null) {
    throw new Error(`${name} must be a duration such as 90s or 2m, not ${__ENV[name]}`);
  }
  return Number(match[1]) * units[match[2] || 's'];
}

export const settings = {
  url: (__ENV.URL || 'http://127.0.0.1:8111').replace(/\/+$/, ''),
  clients: whole('CLIENTS', '100'),
  duration: milliseconds('DURATION', '60s'),
  channel: __ENV.CHANNEL || 'loadtest',
  // Clients that one virtual user of k6 holds: a VU costs megabytes, a WebSocket some kilobytes.
  perVu: whole('PER_VU', '100'),
  ramp: milliseconds('RAMP', '5s'),
  hold: milliseconds('HOLD', '10s'),
  latency: milliseconds('LATENCY', '500ms'),
  channels: whole('CHANNELS', '50'),
  stay: milliseconds('STAY', '500ms'),
  slow: whole('SLOW', '5'),
  stall: milliseconds('STALL', '15s'),
};

// A scenario in which each VU runs once, and is given up only long after it should have ended.
export function once(vus, expectedMs) {
  return {
    executor: 'per-vu-iterations',
    vus,
    iterations: 1,
    maxDuration: `${Math.ceil(expectedMs / 1000) + 60}s`,
    gracefulStop: '5s',
  };
}

export const vus = Math.ceil(settings.clients / settings.perVu);

// The numbers of the clients that this VU holds, 0 up to CLIENTS - 1 over all VUs. Neighbours
// belong to different VUs, so that a ramp keeps all of them busy.
export function ownClients() {
  const own = [];
  // Each VU has one iteration, so their numbers are those of the scenario's VUs.
  for (let n = exec.scenario.iterationInTest; n < settings.clients; n += vus) {
    own.push(n);
  }
  return own;
}
