// What happened to a task, in order, with the fencing token under which it happened.
import { html } from "../lib/dom.js";
import { clock, duration, exact } from "../lib/format.js";

const TONES = {
  started: "running", succeeded: "succeeded", retried: "scheduled", died: "dead", lost: "dead",
  refused: "dead", expired: "cancelled", cancelled: "cancelled", cancel_requested: "cancelled",
};

const MEANINGS = {
  lost: "The lease ended before the attempt did: the attempt is void, its writes are refused.",
  refused: "A write with an old token came too late. It was refused and changed nothing.",
  released: "A stop gave it back to the front of its queue. No failure was counted.",
  handed_back: "The queue stopped before it ran.",
  evicted: "Newer dead letters needed its room.",
};

export function Timeline({ events, now }) {
  return html`<ol class="timeline">
    ${events.map((event, index) => html`<${Entry} event=${event} before=${events[index - 1]} now=${now} />`)}
  </ol>`;
}

function Entry({ event, before, now }) {
  const since = before && event.at - before.at;
  const meaning = MEANINGS[event.name];
  const tone = TONES[event.name] ?? "";
  const alarm = event.name === "lost" || event.name === "refused";
  return html`<li class=${`${tone} ${alarm ? "alarm" : ""}`}>
    <span class="dot" aria-hidden="true"></span>
    <div class="entry">
      <div class="entry-head"><b>${event.name.replaceAll("_", " ")}</b>
        ${event.delivery > 0 && html`<span class="token" title="The fencing token: only its holder changes the task">token ${event.delivery}</span>`}
        ${event.attempt > 0 && event.name === "started" && html`<span class="soft">attempt ${event.attempt}</span>`}
      </div>
      ${event.detail && html`<div class="entry-detail">${event.detail}</div>`}
      ${meaning && html`<div class="entry-detail soft">${meaning}</div>`}
      ${event.worker && html`<div class="entry-detail soft">by <span class="mono" title=${event.worker}>${event.worker_name ?? event.worker}</span></div>`}
    </div>
    <div class="entry-time"><time datetime=${exact(event.at)} title=${exact(event.at)}>${clock(event.at, now)}</time>
      ${since > 0 && html`<span class="soft">+${duration(since)}</span>`}</div>
  </li>`;
}
