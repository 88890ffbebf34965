// One task: what it is, what became of it, and what can be done about it.
import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { duration, plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { link } from "../lib/route.js";
import { Facts } from "../parts/facts.js";
import { Folded } from "../parts/folded.js";
import { Empty, Failed } from "../parts/note.js";
import { Progress } from "../parts/progress.js";
import { State } from "../parts/state.js";
import { Ago, Moment, Until } from "../parts/time.js";
import { Timeline } from "../parts/timeline.js";
import { Actions } from "./task-actions.js";
import { Errors } from "./task-errors.js";

export function Task({ path }) {
  const id = path[1];
  const now = useNow();
  const { data: task, error } = useResource("task", { id }, 2_000);
  if (error?.status === 404) return html`<p class="mono id-line">${id}</p><${Empty}>
    No such task is known, or no longer. <a href=${link(["tasks"], { text: id })}>Search for it</a>.</>`;
  return html`${error && html`<${Failed} error=${error} />`}
    ${task ? html`<${Known} task=${task} now=${now} />` : !error && html`<p class="empty quiet" role="status">Reading…</p>`}`;
}

const Known = ({ task, now }) => html`
  <div class="task-head">
    <h2 class="task-type mono">${task.type}</h2>
    <${State} of=${task.state} />
    <span class="spring"></span>
    <${Actions} task=${task} />
  </div>
  <p class="mono id-line">${task.id}</p>
  <div class="task-body">
    <div class="task-main">
      <${Arguments} task=${task} />
      ${task.result !== null && task.result !== undefined && html`<section><h2>Result</h2><${Folded} text=${task.result} label="Result" /></section>`}
      <${Errors} errors=${task.errors} />
      ${Object.keys(task.headers ?? {}).length > 0 && html`<section><h2>Headers</h2>
        <${Facts} entries=${Object.entries(task.headers)} /></section>`}
    </div>
    <div class="task-side">
      <${About} task=${task} now=${now} />
      <${History} task=${task} now=${now} />
    </div>
  </div>`;

function Arguments({ task }) {
  const entries = [...(task.args ?? []).map((text, index) => [`${index + 1}`, text]), ...Object.entries(task.kwargs ?? {})];
  return html`<section><h2>Arguments</h2>
    ${entries.length === 0 && html`<p class="soft">${task.args ? "None." : "They are no longer known."}</p>`}
    <dl class="arguments">${entries.map(([name, text]) => html`<div>
      <dt class="mono">${name}</dt><dd><${Folded} text=${text} label=${`Argument ${name}`} /></dd></div>`)}</dl>
  </section>`;
}

const About = ({ task, now }) => html`<section aria-label="Facts"><${Facts} entries=${[
  ["Queue", html`<a href=${link(["tasks"], { queue: task.queue })}>${task.queue}</a>`],
  ["Accepted", html`<${Moment} at=${task.accepted_at} now=${now} /> <span class="soft">(<${Ago} at=${task.accepted_at} now=${now} />)</span>`],
  ["Due", task.state === "scheduled" && task.due_at !== null ? html`<${Until} at=${task.due_at} now=${now} />` : null],
  ["Running for", task.running_for === null ? null : duration(task.running_for)],
  ["Worker", task.worker && html`<span class="mono" title=${task.worker}>${task.worker_name ?? task.worker}</span>`],
  ["Progress", task.progress && html`<${Progress} of=${task.progress} label="Progress" />`],
  ["Outcome", task.outcome && outcomeText(task.outcome)],
  ["Attempt", attemptText(task)],
  ["Fencing token", task.deliveries || null],
  ["Leases lost", task.losses || null],
  ["Interrupted", task.interruptions ? plural(task.interruptions, "time") : null],
  ["Snoozed", task.snoozes ? plural(task.snoozes, "time") : null],
  ["Key", task.key && html`<span class="mono">${task.key}</span>`],
  ["Priority", task.priority],
  ["Timeout", task.timeout === null ? null : duration(task.timeout)],
  ["Expires", task.expires ? `unless started within ${duration(task.expires)}` : null],
]} /></section>`;

function attemptText({ attempt, failures }) {
  return failures ? `${attempt}, ${plural(failures, "failure")} so far` : String(attempt);
}

function outcomeText({ kind, duration: lasted, late, cancel_ignored: ignored, stored }) {
  const remarks = [
    `${kind.replaceAll("_", " ")} after ${duration(lasted)}`,
    late && "later than its timeout",
    ignored && "although it was asked to stop",
    stored === false && "its value is not kept",
  ];
  return remarks.filter(Boolean).join(", ");
}

const History = ({ task, now }) => html`<section><h2>Timeline</h2>
  ${task.timeline.length
    ? html`<${Timeline} events=${task.timeline} now=${now} />`
    : html`<p class="soft">Nothing was noted about this task.</p>`}
  ${task.timeline_complete === false && task.timeline.length > 0 && html`<p class="soft small">What came before is no longer known.</p>`}
</section>`;
