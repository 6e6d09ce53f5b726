// Socket.IO 5 over Engine.IO 4, as much of it as a client needs that subscribes and listens.

import http from 'k6/http';

const { WebSocket } = websockets();

const SEPARATOR = '\x1e';
const SUBSCRIBE_ACK = 0;

// The module's name changed within k6 1.x, and newer versions know only the newer name.
function websockets() {
  try {
    return require('k6/websockets');
  } catch (_) {
    return require('k6/experimental/websockets');
  }
}

// Reads one Engine.IO packet, and the Socket.IO packet in it.
export function decode(text) {
  switch (text.slice(0, 2)) {
    case '40':
      return { type: 'connect', data: JSON.parse(text.slice(2)) };
    case '41':
      return { type: 'disconnect' };
    case '42':
      return { type: 'event', data: JSON.parse(text.slice(2)) };
    case '43': {
      const start = text.indexOf('[');
      return { type: 'ack', id: Number(text.slice(2, start)), data: JSON.parse(text.slice(start)) };
    }
    case '44':
      return { type: 'refused', data: JSON.parse(text.slice(2)) };
  }
  switch (text[0]) {
    case '0':
      return { type: 'open', data: JSON.parse(text.slice(1)) };
    case '1':
      return { type: 'close' };
    case '2':
      return { type: 'ping' };
    case '6':
      return { type: 'noop' };
  }
  throw new Error(`unexpected packet: ${text.slice(0, 80)}`);
}

// The conversation of one client, whatever carries it. `send` takes a packet; `on` may have
// `connected()`, `subscribed()`, `message(envelope)` and `failed(reason)`.
class Conversation {
  constructor(channel, send, on) {
    this.channel = channel;
    this.send = send;
    this.on = on;
    this.subscribed = false;
    this.ended = false;
  }

  handle(text) {
    const packet = decode(text);
    switch (packet.type) {
      case 'open':
        this.send('40');
        break;
      case 'connect':
        this.tell('connected');
        this.send(`42${SUBSCRIBE_ACK}${JSON.stringify(['subscribe', { channel: this.channel }])}`);
        break;
      case 'ack':
        this.acknowledged(packet);
        break;
      case 'event':
        if (packet.data[0] === this.channel) {
          this.tell('message', packet.data[1]);
        }
        break;
      case 'ping':
        this.send('3');
        break;
      case 'refused':
      case 'disconnect':
      case 'close':
        this.fail(`${packet.type} ${JSON.stringify(packet.data || '')}`);
        break;
    }
  }

  acknowledged(packet) {
    const answer = packet.data[0];
    if (packet.id === SUBSCRIBE_ACK && answer && answer.ok) {
      this.subscribed = true;
      this.tell('subscribed');
    } else {
      this.fail(`subscribe: ${JSON.stringify(packet.data)}`);
    }
  }

  // Ends it in failure, once, and not after it was left on purpose.
  fail(reason) {
    if (!this.ended) {
      this.ended = true;
      this.tell('failed', reason);
    }
  }

  tell(what, argument) {
    if (this.on[what]) {
      this.on[what](argument);
    }
  }
}

// Opens a client over WebSocket. It lives in k6's event loop until `close` or a failure.
export function listen(url, channel, on) {
  const base = url.replace(/^http/, 'ws');
  const socket = new WebSocket(`${base}/socket.io/?EIO=4&transport=websocket`);
  const conversation = new Conversation(channel, (packet) => socket.send(packet), on);

  function giveUp(reason) {
    conversation.fail(reason);
    socket.close();
  }

  socket.onmessage = (event) => {
    // What arrives while the socket closes is nobody's any more.
    if (conversation.ended) {
      return;
    }
    try {
      conversation.handle(event.data);
    } catch (error) {
      giveUp(String(error));
    }
    if (conversation.ended) {
      socket.close();
    }
  };
  socket.onerror = (event) => giveUp(event.error);
  socket.onclose = () => conversation.fail('the connection was closed');

  return {
    close() {
      conversation.ended = true;
      socket.close();
    },
  };
}

// A client over HTTP long-polling. It blocks its VU: k6's HTTP calls do.
export class Poller {
  constructor(url, channel, on) {
    this.endpoint = `${url}/socket.io/?EIO=4&transport=polling`;
    this.session = this.endpoint;
    this.outgoing = [];
    this.conversation = new Conversation(channel, (packet) => this.outgoing.push(packet), on);
  }

  // Polls once and says what follows. A server answers at the latest with its next ping, 25 s by
  // default. False when the conversation has ended.
  turn() {
    const answer = this.get('poll');
    if (answer.status !== 200) {
      this.conversation.fail(`GET answered ${answer.status} ${answer.body}`);
      return false;
    }
    if (this.session === this.endpoint) {
      const { sid } = decode(answer.body.split(SEPARATOR)[0]).data;
      this.session = `${this.endpoint}&sid=${sid}`;
    }
    answer.body.split(SEPARATOR).forEach((text) => this.conversation.handle(text));
    if (this.outgoing.length > 0) {
      this.post(this.outgoing.join(SEPARATOR));
      this.outgoing = [];
    }
    return !this.conversation.ended;
  }

  // Polls once, and gives the answer as it is.
  get(name) {
    return http.get(this.session, { timeout: '90s', tags: { name } });
  }

  post(body) {
    const headers = { 'Content-Type': 'text/plain;charset=UTF-8' };
    const answer = http.post(this.session, body, { headers, tags: { name: 'post' } });
    if (answer.status !== 200) {
      this.conversation.fail(`POST answered ${answer.status} ${answer.body}`);
    }
  }

  leave() {
    if (!this.conversation.ended) {
      this.conversation.ended = true;
      this.post('1');
    }
  }
}
