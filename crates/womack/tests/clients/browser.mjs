// Drives Chromium: one JSON command per line on stdin, one JSON event per line on stdout. `part`
// names the page that a command or an event belongs to; each page has a browser of its own.

import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const PATIENCE = 25_000;
const LOOK_AGAIN = 20;

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const pages = new Map();

function report(part, event, details = {}) {
  process.stdout.write(JSON.stringify({ part, event, ...details }) + "\n");
}

async function open({ part, url, files = {} }) {
  const replaced = Object.entries(files);
  // Without a user data folder in its options, a browser gets a fresh one in a temporary folder.
  const browser = await chromium.launch({
    executablePath: process.env.WOMACK_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    // A page from a file has no address, and Chromium lets such a page reach no local one.
    args: replaced.length ? [...ARGS, "--disable-features=LocalNetworkAccessChecks"] : ARGS,
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => report(part, "error", { message: String(error.stack ?? error) }));
  pages.set(part, page);
  for (const [pattern, path] of replaced) {
    await page.route(pattern, (route) => route.fulfill({ path }));
  }
  await page.goto(url);
  report(part, "opened");
}

const commands = {
  open,

  async goto({ part, url }) {
    await pages.get(part).goto(url);
    report(part, "opened");
  },

  async script({ part, path }) {
    await pages.get(part).addScriptTag({ path });
    report(part, "done");
  },

  async fill({ part, selector, text }) {
    await pages.get(part).fill(selector, text);
    report(part, "done");
  },

  async click({ part, selector }) {
    await pages.get(part).click(selector);
    report(part, "done");
  },

  async view({ part, width, height, scheme }) {
    await pages.get(part).setViewportSize({ width, height });
    await pages.get(part).emulateMedia({ colorScheme: scheme });
    report(part, "done");
  },

  async log({ part, count }) {
    const page = pages.get(part);
    await page.waitForFunction((n) => document.querySelectorAll("#log li").length >= n, count);
    const lines = await page.$$eval("#log li", (items) =>
      items.map((item) => [...item.querySelectorAll("span")].map((span) => span.textContent.trim())),
    );
    report(part, "log", { lines });
  },

  async logged({ part, text }) {
    await pages.get(part).waitForFunction(
      (wanted) =>
        [...document.querySelectorAll("#log li")].some(
          (item) => item.textContent.trim().replace(/\s+/g, " ") === wanted,
        ),
      text,
    );
    report(part, "done");
  },

  async evaluate({ part, expression }) {
    const value = await pages.get(part).evaluate(expression);
    report(part, "value", { value: value ?? null });
  },

  async until({ part, expression }) {
    // The page's own policy may forbid what waitForFunction does with a string.
    const page = pages.get(part);
    const end = Date.now() + PATIENCE;
    while (!(await page.evaluate(expression))) {
      if (Date.now() > end) {
        throw new Error(`never true: ${expression}`);
      }
      await page.waitForTimeout(LOOK_AGAIN);
    }
    report(part, "done");
  },
};

async function run(command) {
  try {
    await commands[command.do](command);
  } catch (error) {
    report(command.part, "error", { message: String(error.stack ?? error) });
  }
}

async function close() {
  await Promise.all([...pages.values()].map((page) => page.context().browser().close()));
  process.exit();
}

createInterface({ input: process.stdin })
  .on("line", (line) => run(JSON.parse(line)))
  .on("close", close);
