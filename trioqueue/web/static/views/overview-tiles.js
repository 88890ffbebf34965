// The numbers that one asks for first. Their places are there before they are: nothing jumps.
import { html } from "../lib/dom.js";
import { count, duration, percent, rate } from "../lib/format.js";
import { link } from "../lib/route.js";

export function Tiles({ overview }) {
  const { counts, rates, workers, oldest, failure_rate: failing, duration: lasts } = overview ?? {};
  const slots = workers?.slots ? `of ${count(workers.slots)} slots` : "no worker is live";
  return html`<div class="tiles">
    <${Tile} name="Waiting" value=${count(counts?.ready)} href=${link(["tasks"], { state: "ready" })}
      more=${oldest == null ? "none waits" : `oldest ${duration(oldest)}`} />
    <${Tile} name="Running" value=${count(counts?.running)} more=${slots} href="#/running" />
    <${Tile} name="Scheduled" value=${count(counts?.scheduled)} more="delayed or retrying"
      href=${link(["tasks"], { state: "scheduled" })} />
    <${Tile} name="Throughput" value=${rate(rates?.succeeded)} more=${lasts ? `p95 takes ${duration(lasts.p95)}` : `${count(counts?.succeeded)} in all`}
      href=${link(["tasks"], { state: "succeeded" })} />
    <${Tile} name="Failing" value=${percent(failing)} more="of attempts" tone=${failing >= 0.1 && "bad"}
      href="#/failures" />
    <${Tile} name="Dead letters" value=${count(counts?.dead)} more="failed for good" tone=${counts?.dead > 0 && "bad"}
      href="#/dead" />
  </div>`;
}

const Tile = ({ name, value, more, href, tone }) => html`<a class="tile" href=${href}>
  <span class="tile-name">${name}</span>
  <span class=${`tile-value ${tone || ""}`}>${value}</span>
  <span class="tile-more">${more}</span>
</a>`;
