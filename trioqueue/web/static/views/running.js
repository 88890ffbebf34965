import { readOnly } from "../lib/api.js";
import { act } from "../lib/act.js";
import { html } from "../lib/dom.js";
import { duration, plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { Call } from "../parts/call.js";
import { limitOf, More } from "../parts/more.js";
import { Empty, Loaded } from "../parts/note.js";
import { Progress } from "../parts/progress.js";
import { Table } from "../parts/table.js";

const COLUMNS = [
  { label: "Task", lead: true, wide: true, cell: (task) => html`<${Call} task=${task} />` },
  { label: "Queue", cell: (task) => task.queue },
  { label: "Worker", cell: (task) => html`<span class="mono" title=${task.worker}>${task.worker_name ?? task.worker ?? "–"}</span>` },
  { label: "Attempt", end: true, cell: (task) => task.attempt },
  { label: "Progress", cell: (task) => html`<${Progress} of=${task.progress} label=${`Progress of ${task.id}`} />` },
  { label: "For", end: true, cell: (task) => duration(task.running_for) },
];
const CANCEL = { label: "Cancel", head: html`<span class="unseen">Cancel</span>`, end: true, tight: true,
  cell: (task) => html`<${Cancel} task=${task} />` };

export function Running({ params }) {
  const limit = limitOf(params);
  const tasks = useResource("tasks", { state: "running", limit }, 1_000);
  return html`<${Loaded} from=${tasks}>${(data) => data.tasks.length
    ? html`<${Table} label="Running tasks" columns=${readOnly ? COLUMNS : [...COLUMNS, CANCEL]}
        rows=${[...data.tasks].sort(longestFirst)} rowKey=${(task) => task.id} />
        <${More} more=${data.more} limit=${limit} shown=${data.tasks.length} of=${plural(data.tasks.length, "task runs", "tasks run")} />`
    : html`<${Empty}>Nothing runs at the moment. <a href="#/tasks?state=ready">Look at what waits</a>,
        or at the <a href="#/workers">workers</a>.</>`}</>`;
}

const longestFirst = (one, other) => (other.running_for ?? 0) - (one.running_for ?? 0);

function Cancel({ task }) {
  if (task.cancel_requested) return html`<span class="soft">asked to stop</span>`;
  return html`<button class="button small" type="button" aria-label=${`Cancel ${task.type} ${task.id}`}
    onClick=${() => act("task/cancel", { id: task.id }, ({ done }) =>
      done ? `Asked ${task.type} to stop.` : "Too late: it has ended.")}>Cancel</button>`;
}
