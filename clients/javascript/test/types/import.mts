import Womack, { Womack as Named, type Envelope, type Options, type SubscribeError } from 'womack';

interface Greeting {
  hello: string;
}

const options: Options = { host: 'localhost', port: 8111, transports: ['polling'], WebSocket };
const womack: Named = new Womack(options);

womack
  .on('connect', () => console.log(womack.sessionID?.length))
  .once('disconnect', (reason) => reason.toUpperCase())
  .on('connect_error', (error) => error.message)
  .on('subscribe_error', (error: SubscribeError) => error.code)
  .on('gap', ({ channels, from, to }: Womack.Gap) => channels.length + to - from);

const live: Promise<string[]> = womack.subscribe<Greeting>('hello', (data, envelope) => {
  const greeting: string = data.hello;
  const whole: Envelope<Greeting> = envelope;
  console.log(greeting, whole.timestamp);
});
womack.subscribe(['a', 'b'], (data, _, channel) => console.log(channel, data));
womack.unsubscribe('hello');
womack.meta = { user: 1 };
womack.event({ clicked: true }).catch((error: Womack.SubscribeError) => error.code);
womack.presence<{ user: number }>('hello').then(({ count, members }) => [count, members[0]?.user]);
womack.io.emit('event', { a: 1 }, (answer: unknown) => answer).disconnect();

new Womack();
new Womack('localhost', { port: 8111, auth: async () => ({ token: 'x' }) });

// @ts-expect-error There is no such event.
womack.on('message', () => {});
// @ts-expect-error The host is given once.
new Womack('localhost', { host: 'localhost' });
// @ts-expect-error There is no such transport.
new Womack({ transports: ['carrier pigeon'] });

export { live };
