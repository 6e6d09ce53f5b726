// What is served and published.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import Womack, { Womack as Named } from 'womack';

const read = (name) => readFile(new URL(`../${name}`, import.meta.url), 'utf8');

test('womack.js is below 8 KiB gzipped', async () => {
  const size = gzipSync(await read('womack.js')).length;
  assert.ok(size < 8192, `${size} bytes`);
});

test('one class for import and require', () => {
  const required = createRequire(import.meta.url)('womack');
  assert.equal(required, Womack);
  assert.equal(required.Womack, Womack);
  assert.equal(Named, Womack);
});

test('the script names the version of the package', async () => {
  const { version } = JSON.parse(await read('package.json'));
  assert.ok((await read('womack.js')).startsWith(`/*! womack.js ${version},`));
});

test('the lock file names no place', async () => {
  assert.doesNotMatch(await read('package-lock.json'), /"resolved"/);
});
