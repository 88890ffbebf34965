import { readOnly } from "../lib/api.js";
import { act } from "../lib/act.js";
import { html } from "../lib/dom.js";
import { confirm } from "../parts/confirm.js";

const SAID = {
  cancel: ["Its cancellation is on its way.", "Too late: it has ended."],
  run: ["It is due now.", "It is not scheduled any more."],
  replay: ["It is ready again, with its failures forgotten.", "It is no dead letter any more."],
  purge: ["It is thrown away.", "It is no dead letter any more."],
};

const NAMES = [
  ["run", "Run now", ""],
  ["replay", "Replay", "primary"],
  ["cancel", "Cancel", ""],
  ["purge", "Purge", "danger"],
];

export function Actions({ task }) {
  if (readOnly) return null;
  return html`<div class="actions">${NAMES.filter(([verb]) => task.can?.[verb]).map(([verb, name, kind]) => html`
    <button class=${`button ${kind}`} type="button" onClick=${() => perform(verb, task)}>${name}</button>`)}</div>`;
}

async function perform(verb, task) {
  const question = { title: `Purge this ${task.type}?`, danger: true, verb: "Purge it",
    text: "Its arguments and errors are thrown away for good. It will not run again." };
  if (verb === "purge" && !(await confirm(question))) return;
  await act(`task/${verb}`, { id: task.id }, ({ done }) => SAID[verb][done ? 0 : 1]);
}
