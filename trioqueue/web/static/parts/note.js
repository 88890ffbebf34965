// What to say instead of content: that there is none yet, or why there is none.
import { html } from "../lib/dom.js";

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Failed = ({ error }) =>
  html`<p class="note bad" role="alert">${error.message}</p>`;

// The content of a resource, or the note that stands for it. `children` is a function of the data.
export function Loaded({ from, children }) {
  const { data, error, stale } = from;
  return html`
    ${error && html`<${Failed} error=${error} />`}
    ${data && html`<div class=${stale ? "stale" : ""} aria-busy=${stale}>${children(data)}</div>`}
    ${!data && !error && html`<p class="empty quiet" role="status">Reading…</p>`}
  `;
}
