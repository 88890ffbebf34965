// The errors of a task's attempts, the last one first and open.
import { html } from "../lib/dom.js";
import { Folded } from "../parts/folded.js";

export function Errors({ errors }) {
  if (!errors?.length) return null;
  return html`<section><h2>Errors</h2>
    <ol class="errors" reversed>${[...errors].reverse().map((error, index) => html`
      <${Failure} key=${`${error.attempt}/${errors.length - index}`} error=${error} isLast=${index === 0} />`)}</ol>
  </section>`;
}

const isShort = (message) => message && message.length <= 300 && !message.includes("\n");

const Failure = ({ error, isLast }) => html`<li>
  <div class="error-head"><span class="soft">Attempt ${error.attempt}</span>
    ${error.kind !== "error" && html`<span class="tag">${error.kind.replaceAll("_", " ")}</span>`}</div>
  <p class="error-line mono"><b>${error.type}</b>${isShort(error.message) && `: ${error.message}`}</p>
  ${error.message && !isShort(error.message) && html`<${Folded} text=${error.message} label=${`Message of attempt ${error.attempt}`} />`}
  ${error.traceback && html`<details class="folded" open=${isLast}>
    <summary>Traceback</summary>
    <pre class="code" tabindex="0" role="region" aria-label=${`Traceback of attempt ${error.attempt}`}>${error.traceback}</pre>
  </details>`}
</li>`;
