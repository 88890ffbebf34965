import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { Empty, Loaded } from "../parts/note.js";
import { Table } from "../parts/table.js";
import { Ago } from "../parts/time.js";

export function Workers() {
  const now = useNow();
  const workers = useResource("workers", {}, 2_000);
  return html`<${Loaded} from=${workers}>${(data) => data.workers.length
    ? html`<${Table} label="Worker processes" columns=${columns(now)} rows=${data.workers} rowKey=${(worker) => worker.id} />`
    : html`<${Empty}>No worker has been heard of. Start one: <code>trioqueue run module:tasks --broker URL</code>.</>`}</>`;
}

const columns = (now) => [
  { label: "Process", lead: true, wide: true, cell: (worker) => html`<span class="mono" title=${worker.id}>${worker.name ?? `${worker.host}:${worker.pid}`}</span>` },
  { label: "Heartbeat", bare: true, cell: (worker) => html`<span class=${`state ${worker.live ? "succeeded" : "dead"}`}>
      <span class="dot" aria-hidden="true"></span>${worker.live ? `${duration(worker.seen)} ago` : `gone, seen ${duration(worker.seen)} ago`}</span>` },
  { label: "Busy", cell: (worker) => html`<${Busy} worker=${worker} />` },
  { label: "Queues", cell: (worker) => worker.queues?.join(", ") ?? "all" },
  { label: "Types", wide: true, cell: (worker) => html`<span class="types" title=${worker.types.join(", ")}>${worker.types.join(", ")}</span>` },
  { label: "Started", end: true, cell: (worker) => html`<${Ago} at=${worker.started_at} now=${now} />` },
];

const Busy = ({ worker }) => html`<span class="progress">
  <progress max=${Math.max(1, worker.workers)} value=${worker.running} aria-label="Slots in use"></progress>
  <span>${count(worker.running)} of ${count(worker.workers)}</span></span>`;
