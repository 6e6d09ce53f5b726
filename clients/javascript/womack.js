/*! womack.js 0.2.0, MIT License */
/*
 * The browser client of Womack: a classic script that defines `Womack`, and a CommonJS module.
 * (womack.mjs makes an ES module of it.) It speaks Engine.IO 4 and Socket.IO 5 by itself, in layers:
 *
 *   Womack        subscriptions, restored after each reconnect
 *   Socket        `womack.io`: one Socket.IO namespace over as many links as it takes
 *   Link          one Engine.IO session: opens, may move to WebSocket, ends once
 *   transports    openWebSocket and openPolling: move packets, know no state
 */
(function (scope) {
  'use strict';

  const DEFAULTS = {
    path: '/socket.io/',
    namespace: '/',
    transports: ['websocket', 'polling'],
    auth: undefined,
    withCredentials: false,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    timeout: 10000,
    autoConnect: true,
    WebSocket: scope.WebSocket,
  };
  const DEFAULT_PORT = 8111;
  const SEPARATOR = '\x1e'; // Between the packets of a polling payload.
  const MAX_PACKETS = 100; // In one polling payload; servers limit them.
  const MAX_REQUEST = 100000; // Characters of channel names in one `subscribe`.
  const PROBE_AGAIN = 30000; // After WebSocket failed and polling serves, in ms; doubles each time.

  const script = findScript();

  const noop = () => {};

  /** Calls a user's function; what it throws must not disturb the others. */
  function call(callback, ...args) {
    try {
      callback(...args);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  }

  class Emitter {
    #listeners = new Map();

    on(name, listener) {
      if (typeof listener === 'function') {
        this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
      }
      return this;
    }

    once(name, listener) {
      const once = (...args) => {
        this.off(name, once);
        listener(...args);
      };
      once.listener = listener;
      return this.on(name, once);
    }

    /** Removes one listener, or without `listener` all of that name. */
    off(name, listener) {
      const others = (l) => l !== listener && l.listener !== listener;
      this.#listeners.set(name, listener ? (this.#listeners.get(name) ?? []).filter(others) : []);
      return this;
    }

    trigger(name, ...args) {
      for (const listener of this.#listeners.get(name) ?? []) call(listener, ...args);
    }
  }

  /**
   * A connection to a Womack server and the subscriptions on it.
   *
   * Events: `connect`, `disconnect(reason)`, `connect_error(error)`, `subscribe_error(error)`.
   */
  class Womack extends Emitter {
    #subscriptions = new Map();
    #asking = false;
    #meta;

    /** `new Womack()`, `new Womack({host, port, ...})` or `new Womack(host, {port, ...})`. */
    constructor(host, options) {
      super();
      this.options = settle(host !== null && typeof host === 'object' ? host : { ...options, host });
      const deliver = (name, envelope) => this.#subscriptions.get(name)?.deliver(envelope);
      this.io = new Socket(this.options, deliver, () => this.#tellMeta());
      this.io.on('connect', () => {
        this.#askNew();
        this.trigger('connect');
      });
      this.io.on('disconnect', (reason) => {
        for (const subscription of this.#subscriptions.values()) subscription.renew();
        this.trigger('disconnect', reason);
      });
      this.io.on('connect_error', (error) => this.trigger('connect_error', error));
      this.io.on('womack:gap', (gap) => this.trigger('gap', gap));
      if (this.options.autoConnect) this.io.connect();
    }

    /** What the server calls this client; another one after each reconnect. */
    get sessionID() {
      return this.io.id;
    }

    /**
     * Calls `callback(data, envelope, channel)` for each message on a channel or a list of them.
     *
     * The promise is fulfilled once the server has confirmed: whatever is published afterwards
     * arrives. It is rejected if the server refuses, and nobody need handle that.
     */
    subscribe(channels, callback) {
      const names = [].concat(channels).map(String);
      const promises = names.map((name) => {
        let subscription = this.#subscriptions.get(name);
        if (!subscription) {
          subscription = new Subscription(name);
          this.#subscriptions.set(name, subscription);
        }
        if (subscription.state === 'refused') subscription.renew();
        if (typeof callback === 'function') subscription.callbacks.add(callback);
        return subscription.promise;
      });
      if (!this.#asking) {
        // All subscribe calls of one turn become one request.
        this.#asking = true;
        queueMicrotask(() => {
          this.#asking = false;
          this.#askNew();
        });
      }
      const live = Promise.all(promises).then(() => names);
      live.catch(noop);
      return live;
    }

    /** Ends the subscription, or with `callback` only that callback's part in it. */
    unsubscribe(channels, callback) {
      const told = [];
      for (const name of [].concat(channels).map(String)) {
        const subscription = this.#subscriptions.get(name);
        if (!subscription) continue;
        subscription.callbacks.delete(callback);
        if (callback && subscription.callbacks.size) continue;
        this.#subscriptions.delete(name);
        if (subscription.state !== 'new') told.push(name);
        subscription.reject(failure('unsubscribed', 'unsubscribed before the server answered', name));
      }
      if (told.length) this.io.emit('unsubscribe', { channels: told });
    }

    /** What the server is told about this client: now, and before all else after each connect. */
    get meta() {
      return this.#meta;
    }

    set meta(value) {
      this.#meta = value ?? null;
      this.#tellMeta();
    }

    #tellMeta() {
      if (this.io.connected && this.#meta !== undefined) this.io.emit('meta', this.#meta);
    }

    /** Hands `data` to the application behind the server, if that takes any. */
    event(data) {
      return this.#request('event', data).then(noop);
    }

    /** Who is in a channel: `{count, members}`, with what some of them set as `meta`. */
    presence(channel) {
      return this.#request('presence', { channel }, channel).then(({ count, members }) => ({ count, members }));
    }

    /** The promise of the server's answer; if it is rejected, nobody need handle that. */
    #request(name, argument, channel) {
      const answered = new Promise((resolve, reject) => {
        const gone = (reason) => reject(failure('disconnected', reason, channel));
        this.io.once('disconnect', gone).emit(name, argument, (answer) => {
          this.io.off('disconnect', gone);
          if (answer?.ok) resolve(answer);
          else reject(failure(answer?.error, answer?.message, channel));
        });
      });
      answered.catch(noop);
      return answered;
    }

    #askNew() {
      if (!this.io.connected) return;
      let request = [];
      let size = 0;
      for (const subscription of this.#subscriptions.values()) {
        if (subscription.state !== 'new') continue;
        size += JSON.stringify(subscription.channel).length;
        if (size > MAX_REQUEST && request.length) {
          this.#ask(request);
          request = [];
          size = 0;
        }
        request.push(subscription);
      }
      if (request.length) this.#ask(request);
    }

    #ask(subscriptions, attempt = 0) {
      const id = this.io.id;
      for (const subscription of subscriptions) subscription.state = 'asked';
      const channels = subscriptions.map(({ channel }) => channel);
      this.io.emit('subscribe', { channels }, (answer) => {
        const wanted = this.#stillWanted(subscriptions);
        if (!answer || answer.ok !== false) {
          for (const { resolve } of wanted) resolve();
        } else if (answer.error === 'unavailable') {
          setTimeout(() => {
            const waiting = this.#stillWanted(wanted);
            if (this.io.id === id && waiting.length) this.#ask(waiting, attempt + 1);
          }, backoff(this.options, attempt));
        } else if (wanted.length > 1) {
          // The server refuses a request as a whole; halving it finds those that it means.
          const half = wanted.length >> 1;
          this.#ask(wanted.slice(0, half));
          this.#ask(wanted.slice(half));
        } else {
          for (const { channel, reject } of wanted) {
            const error = failure(answer.error, answer.message, channel);
            reject(error);
            this.trigger('subscribe_error', error);
          }
        }
      });
    }

    #stillWanted(subscriptions) {
      return subscriptions.filter((s) => this.#subscriptions.get(s.channel) === s);
    }
  }

  /** The callbacks of one channel, and what the server thinks of it: new, asked, live, refused. */
  class Subscription {
    callbacks = new Set();

    constructor(channel) {
      this.channel = channel;
      this.renew();
    }

    /** Back to the beginning: the server does not know of it, or no longer. */
    renew() {
      if (this.state !== 'new' && this.state !== 'asked') {
        this.promise = new Promise((resolve, reject) => {
          this.resolve = () => {
            this.state = 'live';
            resolve();
          };
          this.reject = (error) => {
            this.state = 'refused';
            reject(error);
          };
        });
        this.promise.catch(noop);
      }
      this.state = 'new';
    }

    deliver(envelope) {
      const isObject = envelope && typeof envelope === 'object' && !Array.isArray(envelope);
      const data = isObject ? envelope.data : envelope;
      for (const callback of [...this.callbacks]) call(callback, data, envelope, this.channel);
    }
  }

  /**
   * One Socket.IO namespace. Opens a link, and another one with growing delay whenever it is lost.
   *
   * Events: `connect`, `disconnect(reason)`, `connect_error(error)`, and those that the server sends.
   */
  class Socket extends Emitter {
    #options;
    #deliver;
    #greet; // Emits what goes before all else.
    #transports; // The one that served last comes first.
    #wanted = false;
    #hidden = false;
    #link;
    #timer; // For the next link, or for the answer to CONNECT.
    #attempts = 0;
    #since = 0;
    #id;
    #waiting = []; // Packets emitted before the connection.
    #acks = new Map();
    #lastAck = 0;

    constructor(options, deliver, greet) {
      super();
      this.#options = options;
      this.#deliver = deliver;
      this.#greet = greet;
      this.#transports = options.transports;
    }

    get connected() {
      return this.#id !== undefined;
    }

    get id() {
      return this.#id;
    }

    /** `websocket` or `polling` while there is a session. */
    get transport() {
      return this.#link?.transport;
    }

    connect() {
      if (!this.#wanted) this.#watch('addEventListener');
      this.#wanted = true;
      this.#hidden = false;
      if (!this.#link) this.#open();
      return this;
    }

    disconnect() {
      if (this.#wanted) this.#watch('removeEventListener');
      this.#wanted = false;
      clearTimeout(this.#timer);
      this.#link?.close('io client disconnect', this.connected ? ['1' + this.#prefix] : []);
      return this;
    }

    /** Sends an event, once connected; a function as last argument gets the server's answer. */
    emit(name, ...args) {
      const ack = typeof args[args.length - 1] === 'function' ? args.pop() : undefined;
      const id = ack ? ++this.#lastAck : '';
      if (ack) this.#acks.set(id, ack);
      const text = '2' + this.#prefix + id + JSON.stringify([name, ...args]);
      if (this.connected) this.#link.send(text);
      else this.#waiting.push(text);
      return this;
    }

    get #prefix() {
      return this.#options.namespace === '/' ? '' : this.#options.namespace + ',';
    }

    #open() {
      clearTimeout(this.#timer);
      const link = new Link(this.#options, this.#transports, {
        open: async () => {
          this.#timer = setTimeout(() => link.close('timeout'), this.#options.timeout);
          try {
            const { auth } = this.#options;
            const payload = await (typeof auth === 'function' ? auth() : auth);
            const json = payload === undefined ? '' : JSON.stringify(payload);
            link.send('0' + this.#prefix + json);
          } catch (error) {
            link.close(error);
          }
        },
        message: (text) => this.#message(text),
        close: (reason) => this.#closed(reason),
      });
      this.#link = link;
    }

    /** What is malformed throws; the link catches that. */
    #message(text) {
      const [, type, namespace = '/', id, json] = /^(\d)(?:(\/[^,]*),?)?(\d*)(.*)$/s.exec(text);
      if (namespace !== this.#options.namespace) return;
      const value = json ? JSON.parse(json) : undefined;
      if (type === '0') this.#connected(value);
      else if (type === '1') this.#link.close('io server disconnect');
      else if (type === '2' && this.connected) {
        this.#deliver(...value);
        this.trigger(...value);
      } else if (type === '3') {
        const ack = this.#acks.get(+id);
        this.#acks.delete(+id);
        if (ack) call(ack, ...value);
      } else if (type === '4') {
        const { message, data } = value;
        this.#link.close(Object.assign(new Error(message), { data }));
      }
    }

    #connected({ sid }) {
      clearTimeout(this.#timer);
      this.#id = sid;
      this.#since = Date.now();
      this.#greet();
      for (const text of this.#waiting.splice(0)) this.#link.send(text);
      this.trigger('connect');
    }

    #closed(reason) {
      const connected = this.connected;
      clearTimeout(this.#timer);
      if (connected) {
        const last = this.#link.transport;
        this.#transports = [last, ...this.#transports.filter((name) => name !== last)];
        // A server that accepts and drops at once must not be hammered.
        if (Date.now() - this.#since > this.#options.reconnectionDelayMax) this.#attempts = 0;
        this.#acks.clear();
      }
      this.#id = this.#link = undefined;
      const again = this.#wanted && !this.#hidden;
      if (again) {
        this.#timer = setTimeout(() => this.#open(), backoff(this.#options, this.#attempts++));
      }
      const error = reason instanceof Error ? reason : new Error(reason);
      if (connected) this.trigger('disconnect', error.message);
      else if (again) this.trigger('connect_error', error);
    }

    #watch(method) {
      for (const type of ['online', 'offline', 'pagehide', 'pageshow', 'visibilitychange']) {
        scope[method]?.(type, this.#onPage);
      }
    }

    /** The page says more about the network, and earlier, than time-outs do. */
    #onPage = ({ type }) => {
      if (type === 'offline') this.#link?.close('transport close');
      else if (type === 'pagehide') {
        // A page with an open connection is not kept for the Back button.
        this.#hidden = true;
        clearTimeout(this.#timer);
        this.#link?.close('page hidden', []);
      } else if (type !== 'visibilitychange' || !scope.document.hidden) {
        this.#hidden = false;
        if (this.#link) this.#link.check();
        else this.#open();
      }
    };
  }

  /** One Engine.IO session; `events` are `open()`, `message(text)` and, once, `close(reason)`. */
  class Link {
    #options;
    #events;
    #candidates;
    #current; // The transport in use.
    #rival; // A WebSocket that may take over from polling.
    #websocketFailed = false;
    #handshake;
    #deadline; // When silence means that the server is gone.
    #timer;
    #probeTimer;
    #queue = [];
    #held = false; // Packets wait in the queue while the transport changes.
    #closed = false;

    constructor(options, transports, events) {
      this.#options = options;
      this.#events = events;
      this.#candidates = transports.filter((name) => name !== 'websocket' || options.WebSocket);
      this.#tryNext('no transport');
    }

    get transport() {
      return this.#handshake && this.#current.name;
    }

    send(message) {
      this.#write('4' + message);
    }

    /** Ends the session; with `farewell`, a list of last messages, the server is told. */
    close(reason, farewell) {
      if (this.#closed) return;
      this.#closed = true;
      clearTimeout(this.#timer);
      clearTimeout(this.#probeTimer);
      this.#rival?.close();
      this.#current?.close(farewell && [...this.#queue, ...farewell.map((text) => '4' + text)]);
      this.#events.close(reason);
    }

    /** Closes the link if it is overdue: timers stand still while a computer sleeps. */
    check() {
      if (!this.#handshake) return;
      const left = this.#deadline - Date.now();
      clearTimeout(this.#timer);
      if (left < 0) this.close('ping timeout');
      else this.#timer = setTimeout(() => this.check(), left + 1);
    }

    #tryNext(reason) {
      const name = this.#candidates.shift();
      if (name) {
        const open = name === 'websocket' ? openWebSocket : openPolling;
        this.#current = open(this.#options, {
          packet: (packet) => this.#packet(packet),
          end: (why) => this.#failed(why),
        });
      }
      // Without a candidate not at once, so that whoever made this link can finish.
      clearTimeout(this.#timer);
      this.#timer = name
        ? setTimeout(() => this.#failed('timeout'), this.#options.timeout)
        : setTimeout(() => this.close(reason));
    }

    #failed(reason) {
      if (this.#handshake) {
        this.close(reason);
      } else {
        this.#websocketFailed ||= this.#current.name === 'websocket';
        this.#current.close();
        this.#tryNext(reason);
      }
    }

    #packet(packet) {
      const type = packet[0];
      const data = packet.slice(1);
      try {
        if (this.#handshake) this.#postpone();
        if (type === '0') this.#opened(JSON.parse(data));
        else if (!this.#handshake) this.#failed('parse error');
        else if (type === '1') this.close('transport close');
        else if (type === '2') this.#write('3' + data);
        else if (type === '4') this.#events.message(data);
        else if (type !== '6') this.#failed('parse error');
      } catch {
        this.#failed('parse error');
      }
    }

    #opened(handshake) {
      this.#handshake = handshake;
      this.#current.opened?.(handshake);
      this.#postpone();
      this.check();
      const { WebSocket, transports } = this.#options;
      if (WebSocket && transports.includes('websocket') && handshake.upgrades.length) {
        this.#probe(this.#websocketFailed ? PROBE_AGAIN : 0);
      }
      this.#events.open();
    }

    #postpone() {
      this.#deadline = Date.now() + this.#handshake.pingInterval + this.#handshake.pingTimeout;
    }

    #write(packet) {
      this.#queue.push(packet);
      this.#flush();
    }

    #flush() {
      if (!this.#held && !this.#closed) this.#current.send(this.#queue.splice(0));
    }

    /** Tries WebSocket beside the polling that serves, and moves the session there if it works. */
    #probe(delay) {
      this.#probeTimer = setTimeout(() => {
        const polling = this.#current;
        const websocket = openWebSocket(this.#options, {
          sid: this.#handshake.sid,
          open: () => websocket.send(['2probe']),
          packet: (packet) => {
            if (this.#current === websocket) this.#packet(packet);
            else if (packet === '3probe') takeOver();
          },
          end: (reason) => (this.#current === websocket ? this.close(reason) : giveUp()),
        });
        const takeOver = async () => {
          this.#held = true;
          await polling.pause();
          if (this.#rival !== websocket || this.#closed) return;
          clearTimeout(this.#probeTimer);
          polling.close();
          websocket.send(['5']);
          this.#current = websocket;
          this.#rival = undefined;
          this.#held = false;
          this.#flush();
        };
        const giveUp = () => {
          clearTimeout(this.#probeTimer);
          websocket.close();
          polling.resume();
          this.#rival = undefined;
          this.#held = false;
          this.#flush();
          this.#probe(Math.max(delay * 2, PROBE_AGAIN));
        };
        this.#rival = websocket;
        this.#probeTimer = setTimeout(giveUp, this.#options.timeout);
      }, delay);
    }
  }

  // A transport calls `packet(packet)`, and `end(reason)` when it fails; neither after its `close`.

  function openWebSocket(options, { sid, open = noop, packet, end }) {
    let closed = false;
    let socket;
    const unlessClosed = (action) => (event) => {
      if (!closed) action(event);
    };
    const ended = unlessClosed(() => end('transport close'));
    try {
      socket = new options.WebSocket(address(options, 'websocket', sid).replace(/^http/, 'ws'));
      socket.onopen = unlessClosed(open);
      socket.onmessage = unlessClosed(({ data }) => packet(data));
      socket.onclose = socket.onerror = ended;
    } catch {
      setTimeout(ended); // A page's security policy may forbid it.
    }
    const send = (packets) => {
      if (socket?.readyState === 1) packets.forEach((text) => socket.send(text));
    };
    return {
      name: 'websocket',
      send,
      close(packets = []) {
        closed = true;
        send(packets);
        socket?.close();
      },
    };
  }

  function openPolling(options, { packet, end }) {
    const abort = new AbortController();
    const queue = [];
    let url = address(options, 'polling');
    let maxPayload;
    let paused = false;
    let closed = false;

    const request = async (init) => {
      const credentials = options.withCredentials ? 'include' : 'same-origin';
      const response = await fetch(url, { cache: 'no-store', credentials, ...init });
      if (!response.ok) throw new Error(`status ${response.status}`);
      return response.text();
    };
    const failed = () => {
      if (!closed) end('transport error');
    };
    const poll = async () => {
      while (!paused && !closed) {
        const payload = await request({ signal: abort.signal });
        for (const text of payload.split(SEPARATOR)) if (!closed) packet(text);
      }
    };
    const post = async () => {
      while (queue.length && !closed) {
        await request({ method: 'POST', body: takePayload(queue, maxPayload) });
      }
    };
    let polling = poll().catch(failed);
    let posting = Promise.resolve();

    return {
      name: 'polling',
      opened(handshake) {
        url = address(options, 'polling', handshake.sid);
        maxPayload = handshake.maxPayload;
      },
      send(packets) {
        queue.push(...packets);
        posting = posting.then(post).catch(failed);
      },
      /** Begins no further poll, and waits for what is under way. */
      async pause() {
        paused = true;
        await Promise.all([polling, posting]);
      },
      resume() {
        paused = false;
        polling = polling.then(poll).catch(failed);
      },
      close(packets) {
        closed = true;
        abort.abort();
        if (!packets) return;
        const body = [...queue, ...packets, '1'].join(SEPARATOR);
        // A short request may outlive the page.
        request({ method: 'POST', body, keepalive: body.length < 10000 }).catch(noop);
      },
    };
  }

  /** Takes from the queue as many packets as one request may carry, but at least one. */
  function takePayload(queue, maxBytes = 1e6) {
    let count = 0;
    let bytes = 0;
    do {
      bytes += queue[count++].length * 3 + 1; // A character takes 3 bytes of UTF-8 at most.
    } while (count < Math.min(queue.length, MAX_PACKETS) && bytes + queue[count].length * 3 < maxBytes);
    return queue.splice(0, count).join(SEPARATOR);
  }

  function address({ secure, host, port, path }, transport, sid) {
    const origin = `${secure ? 'https' : 'http'}://${host}${port ? ':' + port : ''}`;
    const session = sid ? '&sid=' + encodeURIComponent(sid) : '';
    return `${origin}${path}?EIO=4&transport=${transport}${session}`;
  }

  /** Options as they will be used: what is not given comes from the script's URL, then the page's. */
  function settle(options) {
    const settled = {};
    for (const name in DEFAULTS) settled[name] = options[name] ?? DEFAULTS[name];
    const page = /^http/.test(scope.location?.protocol) ? scope.location : undefined;
    const place = script ?? page ?? { protocol: 'http:', hostname: 'localhost', port: DEFAULT_PORT };
    // [scheme://]host[:port]
    const [, scheme, host, port] = /^(?:(\w+):\/\/)?(.*?)(?::(\d+))?\/?$/.exec(options.host ?? '');
    settled.secure = options.secure ?? /^(http|ws)s:?$/.test(scheme ?? place.protocol);
    const standard = settled.secure ? '' : DEFAULT_PORT;
    const usual = scheme ? '' : host && !script ? standard : place.port;
    settled.host = host || place.hostname;
    settled.port = options.port ?? port ?? usual;
    settled.path = settled.path.replace(/\/?$/, '/');
    return settled;
  }

  /** The URL that this script was loaded from. */
  function findScript() {
    const scripts = [scope.document?.currentScript, ...(scope.document?.scripts ?? [])];
    const found = scripts.find((s) => /^https?:[^?#]*\/womack\.js([?#]|$)/.test(s?.src));
    return found && new URL(found.src);
  }

  function backoff({ reconnectionDelay, reconnectionDelayMax }, attempt) {
    return Math.min(reconnectionDelayMax, reconnectionDelay * 2 ** attempt) * (0.5 + Math.random());
  }

  function failure(code, message, channel) {
    return Object.assign(new Error(message || code), { code, channel });
  }

  if (typeof module === 'object' && module.exports) {
    module.exports = Womack;
    Womack.Womack = Womack.default = Womack;
  } else {
    scope.Womack = Womack;
  }
})(globalThis);
