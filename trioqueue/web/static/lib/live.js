// The stream of server-sent events: the overview about once a second, and whether we hear it at all.
import { address } from "./api.js";
import { Store } from "./store.js";

const SILENCE = 10_000; // ms without a message after which the connection counts as gone
const LONGEST_WAIT = 8_000; // ms between two attempts to connect

export const live = new Store({ overview: null, connected: false, seenAt: null });

let source = null;
let waiting = 0; // the timer of the next attempt
let watchdog = 0;
let failures = 0;
let skew = 0; // seconds that the server's clock is ahead of ours

// The server's time, as Unix time in seconds: what ages are counted from.
export const serverNow = () => Date.now() / 1000 + skew;

export function startLive() {
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : connect()));
  addEventListener("online", connect);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", connect);
  if (!document.hidden) connect();
}

function connect() {
  if (source) return;
  clearTimeout(waiting);
  source = new EventSource(address("events"));
  source.addEventListener("overview", hear);
  source.addEventListener("bye", lose);
  // The browser's own ways of connecting again differ, and end for ever at an error of HTTP.
  source.addEventListener("error", lose);
  watch();
}

function stop() {
  clearTimeout(waiting);
  clearTimeout(watchdog);
  source?.close();
  source = null;
}

function hear(message) {
  failures = 0;
  const overview = JSON.parse(message.data);
  if (typeof overview.now === "number") skew = overview.now - Date.now() / 1000;
  live.set({ overview, connected: true, seenAt: Date.now() });
  watch();
}

function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lose, SILENCE);
}

function lose() {
  stop();
  live.set({ ...live.value, connected: false });
  const wait = Math.min(LONGEST_WAIT, 500 * 2 ** failures);
  failures += 1;
  waiting = setTimeout(connect, wait * (0.75 + Math.random() / 2));
}
