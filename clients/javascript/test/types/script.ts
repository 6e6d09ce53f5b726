/// <reference path="../../womack.d.ts" />
// A page's own script, with `Womack` as a global.
const womack = new Womack('localhost', { port: 8111 });
womack.subscribe('hello', (data, envelope) => console.log(data, envelope));
