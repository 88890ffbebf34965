// The one sentence over everything: what a person should look at first. Numbers that change every
// second are kept out of it, since it is read aloud when it changes.
const LONG_WAIT = 60; // seconds
const MANY_FAIL = 0.1; // of attempts

export function verdict(overview) {
  return CASES.map((judge) => judge(overview)).find(Boolean);
}

const CASES = [
  ({ available, error }) => available === false && bad(`The broker is away: ${error ?? "it does not answer"}. The numbers are the last known.`),
  ({ paused }) => paused?.all && warn("Everything is paused: tasks are accepted, none is started.", ["queues"]),
  ({ counts, workers }) => counts.ready > 0 && !counts.running && workers?.live === 0 && bad("Tasks wait, and no worker is there to run them.", ["workers"]),
  ({ failure_rate: rate }) => rate >= MANY_FAIL && warn(`About ${Math.round(rate * 10) * 10 || 10}% of the attempts fail.`, ["failures"]),
  ({ oldest }) => oldest >= LONG_WAIT && warn("The oldest task has waited for more than a minute.", ["tasks"], { state: "ready" }),
  ({ paused }) => paused?.queues?.length && warn(`Paused: ${paused.queues.join(", ")}.`, ["queues"]),
  ({ counts }) => counts.dead > 0 && { tone: "idle", text: "Work flows. Some tasks failed for good and wait for a decision.", path: ["dead"] },
  ({ counts }) => counts.submitted === 0 && { tone: "idle", text: "Nothing has been submitted yet.", path: null },
  () => ({ tone: "good", text: "All is well.", path: null }),
];

const bad = (text, path = null) => ({ tone: "bad", text, path });
const warn = (text, path, params) => ({ tone: "warn", text, path, params });
