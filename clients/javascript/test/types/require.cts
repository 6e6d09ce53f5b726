import Womack = require('womack');

const womack: Womack = new Womack.Womack({ host: 'localhost' } satisfies Womack.Options);
const same: typeof Womack = Womack.default;
womack.subscribe('hello', (data: { hello: string }) => data.hello);

export { same };
