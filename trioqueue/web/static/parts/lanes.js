// The open tasks by queue and type.
import { html } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";
import { link } from "../lib/route.js";
import { Table } from "./table.js";

const COLUMNS = [
  { label: "Queue", lead: true, cell: (lane) => html`<span class="lane-queue">${lane.queue}</span>
      ${lane.paused && html` <span class="tag warn">paused</span>`}` },
  { label: "Type", wide: true, cell: (lane) => html`<a class="mono" data-row-link
      href=${link(["tasks"], { type: lane.type, queue: lane.queue, state: "open" })}>${lane.type}</a>` },
  { label: "Waiting", end: true, cell: (lane) => amount(lane.ready) },
  { label: "Running", end: true, cell: (lane) => amount(lane.running) },
  { label: "Scheduled", end: true, cell: (lane) => amount(lane.scheduled) },
  { label: "Oldest", end: true, cell: (lane) => (lane.oldest === null ? html`<span class="faint">–</span>` : duration(lane.oldest)) },
];

// Zeros step back, so that what is there stands out.
const amount = (value) => html`<span class=${value ? "" : "faint"}>${count(value)}</span>`;

export const LaneTable = ({ lanes }) => html`<${Table} label="Open tasks by queue and type"
  columns=${COLUMNS} rows=${lanes} rowKey=${(lane) => `${lane.queue}\n${lane.type}`} />`;
