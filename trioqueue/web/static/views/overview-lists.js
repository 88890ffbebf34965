// Under the curves: where the work is, and what failed lately.
import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { useResource } from "../lib/resource.js";
import { FailureList } from "../parts/failures.js";
import { LaneTable } from "../parts/lanes.js";
import { Empty, Loaded } from "../parts/note.js";

export function Lanes() {
  const lanes = useResource("lanes", {}, 2_000);
  return html`<section aria-labelledby="lanes">
    <div class="section-head"><h2 id="lanes">By queue</h2><a href="#/queues">Pause, resume</a></div>
    <${Loaded} from=${lanes}>${(data) => data.lanes.length
      ? html`<${LaneTable} lanes=${data.lanes} />`
      : html`<${Empty}>No task is open: every accepted one has ended.</>`}</>
  </section>`;
}

export function LatestFailures() {
  const now = useNow();
  const failures = useResource("failures", {}, 5_000);
  return html`<section aria-labelledby="failed">
    <div class="section-head"><h2 id="failed">Latest failures</h2><a href="#/failures">All of them</a></div>
    <${Loaded} from=${failures}>${(data) => data.groups.length
      ? html`<${FailureList} groups=${data.groups.slice(0, 5)} now=${now} />`
      : html`<${Empty}>Nothing has failed.</>`}</>
  </section>`;
}
