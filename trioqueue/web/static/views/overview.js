// The first look: is all well, how much is where, how did it change.
import { html } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { link } from "../lib/route.js";
import { useStore } from "../lib/store.js";
import { verdict } from "../lib/verdict.js";
import { Charts } from "./overview-charts.js";
import { LatestFailures, Lanes } from "./overview-lists.js";
import { Tiles } from "./overview-tiles.js";

export function Overview({ params }) {
  const { overview } = useStore(live);
  return html`
    <${Verdict} overview=${overview} />
    <${Tiles} overview=${overview} />
    <${Charts} chosen=${params.window} />
    <div class="side-by-side">
      <${Lanes} />
      <${LatestFailures} />
    </div>
  `;
}

function Verdict({ overview }) {
  const says = overview ? verdict(overview) : { tone: "idle", text: "Waiting for the first numbers…", path: null };
  return html`<p class=${`verdict ${says.tone}`} role="status">
    <span class="dot" aria-hidden="true"></span><span>${says.text}</span>
    ${says.path && html` <a href=${link(says.path, says.params)}>Look</a>`}
  </p>`;
}
