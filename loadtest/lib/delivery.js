// Checks what one client gets of a run that publish.py stamped: how late, and whether all of it.

import { Counter, Trend } from 'k6/metrics';
import { settings } from './settings.js';

const latency = new Trend('delivery_latency', true);
const received = new Counter('messages_received');
const missing = new Counter('messages_missing');
const disordered = new Counter('messages_disordered');
const unstamped = new Counter('messages_unstamped');
const silent = new Counter('clients_silent');
const unfinished = new Counter('clients_unfinished');

export const thresholds = {
  delivery_latency: [`p(99)<${settings.latency}`],
  messages_missing: ['count==0'],
  messages_disordered: ['count==0'],
  clients_silent: ['count==0'],
  clients_unfinished: ['count==0'],
};

export class Delivery {
  constructor() {
    this.run = null;
    this.next = 0;
    this.of = 0;
  }

  // Takes the next message. A client may join in the middle of a run; from then on it must get
  // every number once and in order.
  take(envelope) {
    received.add(1);
    const stamp = envelope && envelope.data;
    if (!stamp || stamp.run === undefined) {
      unstamped.add(1);
      return;
    }
    latency.add(Date.now() - stamp.sent);
    if (stamp.run !== this.run) {
      this.run = stamp.run;
      this.next = stamp.seq;
      this.of = stamp.of;
    }
    if (stamp.seq < this.next) {
      disordered.add(1);
      return;
    }
    if (stamp.seq > this.next) {
      missing.add(stamp.seq - this.next);
    }
    this.next = stamp.seq + 1;
  }

  // Whether the last message of the run is in.
  complete() {
    return this.run !== null && this.next === this.of;
  }

  // Counts a client that heard nothing, or whose run was not over when it left.
  end() {
    if (this.run === null) {
      silent.add(1);
    } else if (!this.complete()) {
      unfinished.add(1);
    }
  }
}
