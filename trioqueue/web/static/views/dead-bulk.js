// Replaying and purging many at once: what was chosen by hand, or all that match the filter.
import { address, get, post } from "../lib/api.js";
import { tell } from "../lib/act.js";
import { html, useState } from "../lib/dom.js";
import { count, plural } from "../lib/format.js";
import { somethingChanged } from "../lib/resource.js";
import { confirm } from "../parts/confirm.js";

const letters = (number) => plural(number, "dead letter");

export function Bulk({ found, filter, chosen, clear }) {
  const [running, setRunning] = useState(null); // what is being done, in words
  const some = chosen.length > 0;
  const number = some ? chosen.length : found.total;

  async function perform(verb) {
    if (!(await confirm(question(verb, number, some, filter)))) return;
    setRunning(`${verb === "replay" ? "Replaying" : "Purging"} ${letters(number)}…`);
    try {
      // `before`: what dies from now on was not seen by who decides.
      const matching = { ...given(filter), before: found.now };
      tell(report(verb, some ? await post(`dead/${verb}`, { ids: chosen }) : await allOf(verb, matching, setRunning)));
      clear();
    } catch (error) {
      tell(error.message, { bad: true });
    }
    setRunning(null);
    somethingChanged();
  }

  const what = some ? `${count(number)} chosen` : `all ${count(number)}${found.total_capped ? "+" : ""}`;
  return html`<div class="bulk" role="group" aria-label="All at once">
    <span class="bulk-text" role="status">${running ?? (some ? `${letters(number)} chosen` : "")}</span>
    <span class="spring"></span>
    ${some && html`<button class="button quiet" type="button" onClick=${clear}>Choose none</button>`}
    <button class="button primary" type="button" disabled=${running !== null} onClick=${() => perform("replay")}>Replay ${what}</button>
    <button class="button danger" type="button" disabled=${running !== null} onClick=${() => perform("purge")}>Purge ${what}</button>
  </div>`;
}

// The server does a bounded part at a time, and insists that the number is what was seen.
async function allOf(verb, filter, say) {
  const sum = { done: 0, refused: [], refused_count: 0 };
  for (;;) {
    const { total } = await get(address("dead", { ...filter, limit: 1 }));
    const answer = await post(`dead/${verb}`, { filter, expected: total });
    sum.done += answer.done;
    sum.refused = answer.refused;
    sum.refused_count = answer.refused_count ?? answer.refused.length;
    say(`${count(sum.done)} done…`);
    if (!answer.more || !answer.done) return sum;
  }
}

function given(filter) {
  const entries = Object.entries(filter).filter(([, value]) => value);
  return Object.fromEntries(entries.map(([name, value]) => [name, name === "older_than" ? Number(value) : value]));
}

function question(verb, number, some, filter) {
  const which = some ? "The chosen ones" : Object.values(filter).some(Boolean) ? "All that match the filter" : "All there are";
  const replayed = "become ready again, with their failures forgotten.";
  const purged = "are thrown away for good, with their arguments and errors.";
  return {
    title: `${verb === "replay" ? "Replay" : "Purge"} ${letters(number)}?`,
    text: `${which} ${verb === "replay" ? replayed : purged}`,
    verb: `${verb === "replay" ? "Replay" : "Purge"} ${count(number)}`,
    danger: verb === "purge",
  };
}

function report(verb, { done, refused, refused_count: number = refused.length }) {
  const did = `${verb === "replay" ? "Replayed" : "Purged"} ${letters(done)}.`;
  return number ? `${did} ${count(number)} refused: ${refused[0]?.error ?? ""}` : did;
}
