// A table that becomes a list of cards on a phone. The roles are said again, because a table whose
// `display` is changed is none any more for who listens to it.
import { html } from "../lib/dom.js";

// Columns: {label, cell(row), end: right-aligned numbers, wide: may shrink, lead: a card's headline,
// bare: says on a card by itself what it is, roomy: not on a card}
export function Table({ label, columns, rows, rowKey }) {
  return html`<div class="table-frame">
    <table role="table" aria-label=${label}>
      <thead role="rowgroup"><tr role="row">
        ${columns.map((column) => html`<th role="columnheader" scope="col" class=${kind(column)}>
          ${column.head ?? column.label}</th>`)}
      </tr></thead>
      <tbody role="rowgroup">
        ${rows.map((row) => html`<tr role="row" key=${rowKey(row)}>
          ${columns.map((column) => html`<td role="cell" class=${kind(column)}
            data-label=${column.lead || column.bare ? null : column.label}>${column.cell(row)}</td>`)}
        </tr>`)}
      </tbody>
    </table>
  </div>`;
}

const kind = ({ end, wide, lead, tight, roomy }) =>
  [end && "end", wide && "wide", lead && "lead", tight && "tight", roomy && "roomy"].filter(Boolean).join(" ");
