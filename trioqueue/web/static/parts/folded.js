// Text of any length: short text as it is, long text folded, with its size said.
import { html } from "../lib/dom.js";
import { count } from "../lib/format.js";

const LINES = 12;
const LETTERS = 800;

export function Folded({ text, label }) {
  const lines = text.split("\n");
  if (lines.length <= LINES && text.length <= LETTERS) return html`<pre class="code" tabindex="0"
    role="region" aria-label=${label}>${text}</pre>`;
  const opening = lines[0].slice(0, 100);
  return html`<details class="folded">
    <summary><span class="mono">${opening}…</span>
      <span class="soft">${count(text.length)} characters, ${count(lines.length)} ${lines.length === 1 ? "line" : "lines"}</span></summary>
    <pre class="code" tabindex="0" role="region" aria-label=${label}>${text}</pre>
  </details>`;
}
