// The one line that says what came of what was done.
import { notice } from "../lib/act.js";
import { html } from "../lib/dom.js";
import { useStore } from "../lib/store.js";

export function Notice() {
  const now = useStore(notice);
  return html`<div class="notice-place">
    <div role="status">${now && !now.bad && html`<${Line} ...${now} />`}</div>
    <div role="alert">${now?.bad && html`<${Line} ...${now} />`}</div>
  </div>`;
}

const Line = ({ text, bad, href }) => html`<div class=${`notice ${bad ? "bad" : ""}`}>
  <span>${text}</span>
  ${href && html`<a href=${href}>Show it</a>`}
  <button class="icon-button" type="button" aria-label="Close" onClick=${() => notice.set(null)}>×</button>
</div>`;
