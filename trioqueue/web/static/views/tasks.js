import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { Call, Id } from "../parts/call.js";
import { ChoiceFilter, named, TextFilter } from "../parts/filters.js";
import { limitOf, More } from "../parts/more.js";
import { Empty, Loaded } from "../parts/note.js";
import { State, STATES } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { Ago, Until } from "../parts/time.js";

const CHOICES = [["", "Any"], ["open", "Open"], ...STATES.map((state) => [state, state[0].toUpperCase() + state.slice(1)])];

export function Tasks({ params }) {
  const now = useNow();
  const { state, type, queue, text } = params;
  const limit = limitOf(params);
  const tasks = useResource("tasks", { state, type, queue, text, limit }, 2_000);
  return html`
    <${Filters} params=${params} />
    <${Loaded} from=${tasks}>${(data) => data.tasks.length
      ? html`<${Table} label="Tasks" columns=${columns(now)} rows=${data.tasks} rowKey=${(task) => task.id} />
          <${More} more=${data.more} limit=${limit} shown=${data.tasks.length}
            of=${`${plural(data.tasks.length, "task")}, newest first`} />`
      : html`<${Nothing} params=${params} searched=${data.searched} />`}</>
  `;
}

function Filters({ params }) {
  const lanes = useResource("lanes");
  const types = useResource("types");
  const open = lanes.data?.lanes ?? [];
  const known = [...(types.data?.types ?? []).map(({ name }) => name), ...open.map((lane) => lane.type)];
  const queues = [...(types.data?.types ?? []).map((each) => each.queue), ...open.map((lane) => lane.queue)];
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${TextFilter} name="text" label="Search" value=${params.text} search=${params.focus ? "focus" : "yes"} grow
      placeholder="Id, type, argument or error" />
    <${ChoiceFilter} name="state" label="State" value=${params.state} choices=${CHOICES} />
    <${ChoiceFilter} name="type" label="Type" value=${params.type} choices=${named("Any", known, params.type)} />
    <${ChoiceFilter} name="queue" label="Queue" value=${params.queue} choices=${named("Any", queues, params.queue)} />
  </form>`;
}

function Nothing({ params, searched }) {
  const filtered = params.text || params.state || params.type || params.queue;
  if (!filtered) return html`<${Empty}>No task is known yet. <a href="#/submit">Submit one</a>, or start a producer.</>`;
  return html`<${Empty}>No task fits${searched ? `; ${plural(searched, "was", "were")} looked at` : ""}.
    <a href="#/tasks">Show all tasks</a>.</>`;
}

const columns = (now) => [
  { label: "Task", lead: true, wide: true, cell: (task) => html`<${Call} task=${task} />` },
  { label: "State", bare: true, cell: (task) => html`<${State} of=${task.state} />
      ${task.state === "scheduled" && html` <span class="soft"><${Until} at=${task.due_at} now=${now} /></span>`}` },
  { label: "Queue", cell: (task) => task.queue },
  { label: "Attempt", end: true, cell: (task) => task.attempt },
  { label: "Accepted", end: true, cell: (task) => html`<${Ago} at=${task.accepted_at} now=${now} />` },
  { label: "Id", roomy: true, cell: (task) => html`<${Id} id=${task.id} />` },
];
