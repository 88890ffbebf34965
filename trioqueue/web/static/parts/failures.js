// Failures, the same ones counted together.
import { html } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { link } from "../lib/route.js";
import { taskLink } from "./call.js";
import { Ago } from "./time.js";

export const FailureList = ({ groups, now }) => html`<ul class="failures">
  ${groups.map((group) => html`<li key=${`${group.type}\n${group.error}`}>
    <span class="failure-count" title="How many tasks failed so">${count(group.count)}</span>
    <div class="failure-text">
      <a class="failure-error" data-row-link href=${taskLink(group.example_id)} title=${group.example_error ?? group.error}>${group.error}</a>
      <div class="failure-more"><span class="mono">${group.type}</span><${Ago} at=${group.last_at} now=${now} />
        ${group.retrying > 0 && html`<span class="state scheduled"><span class="dot" aria-hidden="true"></span>${count(group.retrying)} tried again</span>`}
        ${group.dead > 0 && html`<a class="state dead" href=${link(["dead"], { type: group.type, group: group.group })}>
          <span class="dot" aria-hidden="true"></span>${count(group.dead)} dead</a>`}
      </div>
    </div>
  </li>`)}
</ul>`;
