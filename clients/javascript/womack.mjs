// In Node and in bundlers womack.js is a CommonJS module; a browser runs it as a script that
// defines a global.
import * as script from './womack.js';

export const Womack = script.default ?? globalThis.Womack;
export default Womack;
