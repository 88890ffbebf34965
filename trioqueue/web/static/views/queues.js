import { readOnly } from "../lib/api.js";
import { act } from "../lib/act.js";
import { html } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { link } from "../lib/route.js";
import { LaneTable } from "../parts/lanes.js";
import { Empty, Loaded } from "../parts/note.js";
import { Table } from "../parts/table.js";

export function Queues() {
  const lanes = useResource("lanes", {}, 1_000);
  const types = useResource("types");
  return html`
    <p class="lede">A paused queue accepts tasks and starts none. What runs already goes on.</p>
    <${Loaded} from=${lanes}>${(data) => {
      const queues = byQueue(data, types.data?.types ?? []);
      return html`
        <${Everything} paused=${data.paused.all} />
        ${queues.length
          ? html`<${Table} label="Queues" columns=${readOnly ? COLUMNS : [...COLUMNS, SWITCH]} rows=${queues} rowKey=${(queue) => queue.name} />`
          : html`<${Empty}>No queue has an open task. A queue is here as soon as something is submitted to it.</>`}
        ${data.lanes.length > 0 && html`<section><h2>By type</h2><${LaneTable} lanes=${data.lanes} /></section>`}`;
    }}</>
  `;
}

function Everything({ paused }) {
  if (paused) return html`<div class="note warn with-action"><span>Everything is paused.</span>
    ${!readOnly && html`<button class="button primary" type="button" onClick=${() => turn(null, true)}>Resume everything</button>`}</div>`;
  return !readOnly && html`<p class="above"><button class="button" type="button" onClick=${() => turn(null, false)}>Pause everything</button></p>`;
}

const turn = (queue, paused) => act(`queues/${paused ? "resume" : "pause"}`, { queue }, () =>
  `${queue === null ? "Everything" : `Queue ${queue}`} ${paused ? "goes on" : "is paused"}.`);

const COLUMNS = [
  { label: "Queue", lead: true, wide: true, cell: (queue) => html`<a data-row-link href=${link(["tasks"], { queue: queue.name })}>${queue.name}</a>
      ${queue.paused && html` <span class="tag warn">paused</span>`}` },
  { label: "Waiting", end: true, cell: (queue) => count(queue.ready) },
  { label: "Running", end: true, cell: (queue) => count(queue.running) },
  { label: "Scheduled", end: true, cell: (queue) => count(queue.scheduled) },
  { label: "Oldest", end: true, cell: (queue) => duration(queue.oldest) },
];
const SWITCH = { label: "Pause", head: html`<span class="unseen">Pause or resume</span>`, end: true, tight: true,
  cell: (queue) => html`<button class="button small" type="button" aria-label=${`${queue.paused ? "Resume" : "Pause"} ${queue.name}`}
    onClick=${() => turn(queue.name, queue.paused)}>${queue.paused ? "Resume" : "Pause"}</button>` };

// The queues that have open tasks, those of the known types, and those that are paused.
function byQueue({ lanes, paused }, types) {
  const names = [...lanes.map((lane) => lane.queue), ...types.map((type) => type.queue), ...paused.queues];
  return [...new Set(names)].sort().map((name) => {
    const own = lanes.filter((lane) => lane.queue === name);
    const ages = own.map((lane) => lane.oldest).filter((age) => age !== null);
    return {
      name,
      paused: paused.queues.includes(name),
      ready: sum(own, "ready"),
      running: sum(own, "running"),
      scheduled: sum(own, "scheduled"),
      oldest: ages.length ? Math.max(...ages) : null,
    };
  });
}

const sum = (lanes, name) => lanes.reduce((total, lane) => total + lane[name], 0);
