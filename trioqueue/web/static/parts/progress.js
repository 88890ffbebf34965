import { html } from "../lib/dom.js";
import { count, percent } from "../lib/format.js";

export function Progress({ of, label }) {
  if (!of) return html`<span class="soft">–</span>`;
  if (!of.total) return html`<span>${count(of.done)} done</span>`;
  const share = Math.min(1, of.done / of.total);
  return html`<span class="progress"><progress max="1" value=${share} aria-label=${label}></progress>
    <span>${percent(share)}</span></span>`;
}
