// For `require('womack')` and for pages that load womack.js as a script.

export = Womack;
export as namespace Womack;

/** A connection to a Womack server and the subscriptions on it. */
declare class Womack {
  constructor(options?: Womack.Options);
  /** `host` may carry a port and a scheme: `push.example.org:8111`, `https://push.example.org`. */
  constructor(host: string, options?: Omit<Womack.Options, 'host'>);

  /** The Socket.IO connection beneath. */
  readonly io: Womack.Socket;
  /** The options in use. */
  readonly options: Readonly<Womack.Options>;
  /** The server's name for this client while it is connected; a new one after each reconnect. */
  readonly sessionID: string | undefined;

  on<Name extends keyof Womack.Events>(name: Name, listener: Womack.Events[Name]): this;
  once<Name extends keyof Womack.Events>(name: Name, listener: Womack.Events[Name]): this;
  /** Removes one listener, or without `listener` all of that name. */
  off<Name extends keyof Womack.Events>(name: Name, listener?: Womack.Events[Name]): this;

  /**
   * Calls `callback` for each message on the channel or channels, across reconnects.
   *
   * The promise is fulfilled with the channels' names once the server has confirmed them all:
   * whatever is published afterwards arrives. It is rejected with a `SubscribeError` if the server
   * refuses one; leaving that unhandled is harmless.
   */
  subscribe<Data = any>(
    channels: string | readonly string[],
    callback?: Womack.Callback<Data>,
  ): Promise<string[]>;

  /** Ends the subscription, or with `callback` only that callback's part in it. */
  unsubscribe(channels: string | readonly string[], callback?: Womack.Callback<any>): void;

  /**
   * What the server is told about this client, any JSON: when it is set, and before all else after
   * each connect. Server events and `presence` show it to others.
   */
  meta: any;

  /**
   * Hands `data`, any JSON, to the application behind the server, which must have been started
   * with `--client-events`. Leaving a rejection unhandled is harmless.
   */
  event(data: unknown): Promise<void>;

  /**
   * Who is in a channel, where the server tells that (`--presence`). `members` has the `meta` of
   * some of them, `null` for those that have none.
   */
  presence<Meta = any>(channel: string): Promise<Womack.Presence<Meta>>;
}

declare namespace Womack {
  export { Womack, Womack as default };

  export interface Options {
    /** Default: that of the script's URL, else of the page, else `localhost`. */
    host?: string;
    /** Default: that of the script's URL, else of the page; 8111 where neither applies. */
    port?: number | string;
    /** Whether to use TLS. Default: as the script's URL or the page does. */
    secure?: boolean;
    /** Default: `/socket.io/`. */
    path?: string;
    /** Default: `/`. */
    namespace?: string;
    /** What to connect with, in this order. Default: `['websocket', 'polling']`. */
    transports?: readonly Transport[];
    /** Sent with each connect; a function is called for each. */
    auth?: unknown | (() => unknown | Promise<unknown>);
    /** Whether polling sends cookies to another origin, as a sticky load balancer may need. */
    withCredentials?: boolean;
    /** Wait before the first reconnect, in milliseconds; it doubles with each further one. Default: 500. */
    reconnectionDelay?: number;
    /** The longest wait before a reconnect, in milliseconds. Default: 5000. */
    reconnectionDelayMax?: number;
    /** How long connecting by one transport may take, in milliseconds. Default: 10000. */
    timeout?: number;
    /** Whether to connect at once. Default: true; otherwise `io.connect()` does. */
    autoConnect?: boolean;
    /** An implementation of WebSocket, where there is none, as in Node before 22. */
    WebSocket?: WebSocketClass;
  }

  export type Transport = 'websocket' | 'polling';

  export type WebSocketClass = new (url: string) => {
    readonly readyState: number;
    onopen: any;
    onmessage: any;
    onclose: any;
    onerror: any;
    send(data: string): void;
    close(): void;
  };

  /** Gets `envelope.data`, or the published value itself if it is not a JSON object. */
  export type Callback<Data = any> = (data: Data, envelope: Envelope<Data>, channel: string) => void;

  /** What was published. */
  export type Envelope<Data = any> = { data: Data; [option: string]: any };

  export interface Presence<Meta = any> {
    count: number;
    members: (Meta | null)[];
  }

  /** A time for which some of this client's channels brought nothing, or not all. */
  export interface Gap {
    channels: string[];
    /** What was published before has been delivered; in Unix milliseconds. */
    from: number;
    /** What was published later is delivered; in Unix milliseconds. */
    to: number;
    /** `rate_limit` if there were more messages than the server passes on (`--max-messages-per-second`). */
    reason?: string;
  }

  export interface Events {
    connect(): void;
    disconnect(reason: string): void;
    /** Connecting failed; it is tried again. `data` is what the server's refusal carried. */
    connect_error(error: Error & { data?: unknown }): void;
    subscribe_error(error: SubscribeError): void;
    /** Something may have been missed, where the server tells that (`--gap-notices`). */
    gap(gap: Gap): void;
  }

  export interface SubscribeError extends Error {
    /** Such as `bad_channel`, `too_many_channels`, `forbidden`, `unsubscribed`. */
    code: string;
    channel: string;
  }

  export interface Socket {
    readonly connected: boolean;
    readonly id: string | undefined;
    /** What carries the session, while there is one. */
    readonly transport: Transport | undefined;
    /** `connect`, `disconnect`, `connect_error`, and each channel's name with its envelopes. */
    on(name: string, listener: (...args: any[]) => void): this;
    once(name: string, listener: (...args: any[]) => void): this;
    off(name: string, listener?: (...args: any[]) => void): this;
    /**
     * Sends an event, once connected. A function as last argument gets the server's answer, which
     * never comes if the connection is lost before.
     */
    emit(name: string, ...args: any[]): this;
    /** Connects, and stays connected until `disconnect`. */
    connect(): this;
    /** Disconnects, and stays disconnected until `connect`. */
    disconnect(): this;
  }
}
