// For `import Womack from 'womack'`.

import Womack from './womack.js';

export { Womack, Womack as default };

export type Callback<Data = any> = Womack.Callback<Data>;
export type Envelope<Data = any> = Womack.Envelope<Data>;
export type Events = Womack.Events;
export type Options = Womack.Options;
export type Socket = Womack.Socket;
export type SubscribeError = Womack.SubscribeError;
export type Transport = Womack.Transport;
