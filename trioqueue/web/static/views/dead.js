// Dead letters: found by filters, and replayed or purged one by one, chosen ones, or all that match.
import { readOnly } from "../lib/api.js";
import { useNow } from "../lib/clock.js";
import { html, useState } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { Call } from "../parts/call.js";
import { ChoiceFilter, named, TextFilter } from "../parts/filters.js";
import { limitOf, More } from "../parts/more.js";
import { Empty, Loaded } from "../parts/note.js";
import { Table } from "../parts/table.js";
import { Ago } from "../parts/time.js";
import { Bulk } from "./dead-bulk.js";

const AGES = [["", "Any"], ["3600", "over an hour"], ["86400", "over a day"], ["604800", "over a week"]];

export function Dead({ params }) {
  const now = useNow();
  const limit = limitOf(params);
  const filter = { type: params.type, error: params.error, group: params.group, older_than: params.older_than };
  const letters = useResource("dead", { ...filter, limit }, 3_000);
  const [chosen, setChosen] = useState(new Set());
  return html`
    <${Filters} params=${params} letters=${letters.data?.letters ?? []} />
    <${Loaded} from=${letters}>${(data) => data.letters.length
      ? html`
        ${!readOnly && html`<${Bulk} found=${data} filter=${filter} chosen=${present(data.letters, chosen)} clear=${() => setChosen(new Set())} />`}
        <${Table} label="Dead letters" rows=${data.letters} rowKey=${(letter) => letter.id}
          columns=${[...(readOnly ? [] : [choice(data.letters, chosen, setChosen)]), ...columns(now)]} />
        <${More} more=${data.more} limit=${limit} shown=${data.letters.length}
          of=${`${count(data.letters.length)} of ${count(data.total)}${data.total_capped ? " or more" : ""}, newest death first`} />`
      : html`<${Nothing} filter=${filter} />`}</>
  `;
}

const present = (letters, chosen) => letters.map(({ id }) => id).filter((id) => chosen.has(id));

function Nothing({ filter }) {
  if (Object.values(filter).some(Boolean)) return html`<${Empty}>No dead letter fits. <a href="#/dead">Show all of them</a>.</>`;
  return html`<${Empty}>There are no dead letters. A task that fails for good is kept here, with its
    arguments and errors, until you replay or purge it.</>`;
}

function Filters({ params, letters }) {
  const failures = useResource("failures", {}, 10_000);
  const groups = (failures.data?.groups ?? []).filter(({ dead, type }) => dead > 0 && (!params.type || type === params.type));
  const types = [...(failures.data?.groups ?? []), ...letters].map(({ type }) => type);
  const known = new Map(groups.map((group) => [group.group, `${group.error} (${count(group.dead)})`]));
  if (params.group && !known.has(params.group)) known.set(params.group, "Chosen error");
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${TextFilter} name="error" label="Error" value=${params.error} search=${params.focus ? "focus" : "yes"} placeholder="Part of the last error" />
    <${ChoiceFilter} name="group" label="Same error" value=${params.group} choices=${[["", "Any"], ...known]} />
    <${ChoiceFilter} name="type" label="Type" value=${params.type} choices=${named("Any", types, params.type)} />
    <${ChoiceFilter} name="older_than" label="Died" value=${params.older_than} choices=${AGES.map(([key, text]) => [key, key ? `${text} ago` : text])} />
  </form>`;
}

function choice(letters, chosen, setChosen) {
  const all = letters.every(({ id }) => chosen.has(id));
  const turn = (ids, on) => {
    const next = new Set(chosen);
    for (const id of ids) (on ? next.add(id) : next.delete(id));
    setChosen(next);
  };
  return {
    label: "Choose",
    tight: true,
    head: html`<input type="checkbox" aria-label="Choose all that are shown" checked=${all}
      onChange=${(event) => turn(letters.map(({ id }) => id), event.target.checked)} />`,
    cell: (letter) => html`<input type="checkbox" aria-label=${`Choose ${letter.type} ${letter.id}`} checked=${chosen.has(letter.id)}
      onChange=${(event) => turn([letter.id], event.target.checked)} />`,
  };
}

const columns = (now) => [
  { label: "Task", lead: true, wide: true, cell: (letter) => html`<${Call} task=${letter} />` },
  { label: "Error", wide: true, cell: (letter) => html`<span class="error-cell" title=${letter.error}>${letter.error ?? "–"}</span>` },
  { label: "Queue", cell: (letter) => letter.queue },
  { label: "Failures", end: true, cell: (letter) => count(letter.failures) },
  { label: "Died", end: true, cell: (letter) => html`<${Ago} at=${letter.died_at} now=${now} />` },
];
