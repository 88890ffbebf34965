// Submitting a task by form: a field per parameter, and the options of one task.
import { act, notice } from "../lib/act.js";
import { readOnly } from "../lib/api.js";
import { html, useState } from "../lib/dom.js";
import { duration, plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { refine } from "../lib/route.js";
import { taskLink } from "../parts/call.js";
import { Empty, Loaded } from "../parts/note.js";
import { gather, WrongField } from "./submit-values.js";
import { Field, OPTIONS } from "./submit-fields.js";

export function Submit({ params }) {
  const types = useResource("types");
  if (readOnly) return html`<${Empty}>This page is read-only: nothing can be submitted here.</>`;
  return html`<${Loaded} from=${types}>${(data) => data.types.length
    ? html`<${Form} types=${data.types} chosen=${params.type} />`
    : html`<${Empty}>The task types are not known here. Name them when the page is started:
        <code>trioqueue web URL --tasks module:tasks</code>, or submit with <code>trioqueue publish</code>.</>`}</>`;
}

function Form({ types, chosen }) {
  const type = types.find(({ name }) => name === chosen) ?? types[0];
  return html`
    <label class="field"><span>Type</span>
      <select value=${type.name} onChange=${(event) => refine({ type: event.target.value })}>
        ${types.map(({ name }) => html`<option value=${name} selected=${name === type.name}>${name}</option>`)}
      </select></label>
    <${About} type=${type} />
    ${type.submittable
      ? html`<${Fields} key=${type.name} type=${type} />`
      : html`<p class="note warn">It cannot be submitted by form: ${type.why}</p>`}`;
}

const About = ({ type }) => html`<div class="about-type">
  ${type.doc && html`<p class="doc">${type.doc}</p>`}
  <p class="soft small">${policy(type)}</p>
</div>`;

function policy({ queue, timeout, attempts, limit }) {
  const words = [`Queue ${queue}`, timeout === null ? "no timeout" : `timeout ${duration(timeout)}`, plural(attempts, "attempt")];
  return `${[...words, ...(limit ? [`at most ${limit} at once`] : [])].join(", ")}.`;
}

function Fields({ type }) {
  const [wrong, setWrong] = useState(null); // {field, message}
  const [busy, setBusy] = useState(false);

  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    let body;
    try {
      body = gather(type, OPTIONS, (name) => form.elements.namedItem(name));
      setWrong(null);
    } catch (error) {
      if (!(error instanceof WrongField)) throw error;
      setWrong(error);
      form.elements.namedItem(error.field)?.focus();
      return;
    }
    setBusy(true);
    const answer = await act("submit", body, () => "");
    setBusy(false);
    if (answer) notice.set({ text: `Submitted ${type.name} as ${answer.id}.`, href: taskLink(answer.id) });
  }

  const message = (name) => (wrong?.field === name ? wrong.message : null);
  return html`<form class="submit-form" onSubmit=${submit} novalidate>
    ${type.parameters.map((parameter) => html`<${Field} name=${`parameter:${parameter.name}`} label=${parameter.name}
      parameter=${parameter} wrong=${message(`parameter:${parameter.name}`)} />`)}
    ${type.parameters.length === 0 && html`<p class="soft">It takes no arguments.</p>`}
    <details class="folded options"><summary>Options of this one task</summary>
      <div class="option-fields">${OPTIONS.map((option) => html`<${Field} name=${`option:${option.name}`} label=${option.label}
        parameter=${option} wrong=${message(`option:${option.name}`)} />`)}</div>
    </details>
    <div class="actions"><button class="button primary" disabled=${busy}>Submit ${type.name}</button></div>
  </form>`;
}
