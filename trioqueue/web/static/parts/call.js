// A task as the call that it is: type(arguments), shortened by the server, cut by the style.
import { html } from "../lib/dom.js";
import { link } from "../lib/route.js";

export const taskLink = (id) => link(["task", id]);

export function callText({ args, kwargs }) {
  if (!args) return "…"; // no longer known
  const named = Object.entries(kwargs ?? {}).map(([name, value]) => `${name}=${value}`);
  return [...(args ?? []), ...named].join(", ");
}

// The link of a row: `j` and `k` go from one to the next.
export function Call({ task }) {
  const text = callText(task);
  return html`<a class="call" href=${taskLink(task.id)} data-row-link title=${`${task.type}(${text})`}>
    <span class="call-type">${task.type}</span><span class="call-args">(${text})</span>
  </a>`;
}

export const Id = ({ id }) => html`<span class="mono id" title=${id}>${id}</span>`;
