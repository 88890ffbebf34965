// How it went: the server samples, these are its curves.
import { html, useMemo } from "../lib/dom.js";
import { count, duration, percent, rate } from "../lib/format.js";
import { serverNow } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { refine } from "../lib/route.js";
import { last } from "../lib/scale.js";
import { Chart } from "../parts/chart.js";

// [seconds, name, milliseconds between two readings]: as fine as the server samples.
const WINDOWS = [[600, "10 min", 3_000], [7_200, "2 h", 10_000], [86_400, "24 h", 60_000]];
const UNSEEN = "Not seen by this process: the workers are others.";

export function Charts({ chosen }) {
  const [seconds, , every] = WINDOWS.find(([each]) => String(each) === chosen) ?? WINDOWS[0];
  const { data } = useResource("series", { window: seconds }, every);
  const series = useMemo(() => data ?? nothing(), [data]);
  const now = Math.max(serverNow(), series.at[series.at.length - 1] ?? 0);
  const common = { at: series.at, span: [now - seconds, now], none: "The first points come in a few seconds." };
  const { counts, rates } = series;
  return html`<section aria-labelledby="curves">
    <div class="section-head"><h2 id="curves">Over time</h2><${Windows} seconds=${seconds} /></div>
    <div class="charts">
      <${Chart} ...${common} title="Throughput" show=${rate} least=${0.1} lines=${[
        { label: "succeeded", values: rates.succeeded, tone: "good", area: true },
        { label: "submitted", values: rates.submitted, tone: "faint" }]} />
      <${Chart} ...${common} title="Queue depth" show=${count} pick=${last} least=${2} lines=${[
        { label: "waiting", values: counts.ready, tone: "accent", area: true },
        { label: "running", values: counts.running, tone: "good" },
        { label: "scheduled", values: counts.scheduled, tone: "warn" }]} />
      <${Chart} ...${common} title="Failure rate" show=${percent} least=${0.01} lines=${[
        { label: "failed", values: shares(rates), tone: "bad", area: true }]} />
      <${Chart} ...${common} title="Waiting time" show=${duration} none=${UNSEEN} lines=${[
        { label: "p50", values: series.waiting.p50, tone: "accent", area: true },
        { label: "p95", values: series.waiting.p95, tone: "warn" }]} />
      <${Chart} ...${common} title="Running time" show=${duration} none=${UNSEEN} lines=${[
        { label: "p50", values: series.duration.p50, tone: "accent", area: true },
        { label: "p95", values: series.duration.p95, tone: "warn" }]} />
      <${Chart} ...${common} title="Dead letters" show=${count} pick=${last} least=${2} lines=${[
        { label: "dead", values: counts.dead, tone: "bad", area: true }]} />
    </div>
  </section>`;
}

function Windows({ seconds }) {
  return html`<div class="choices" role="group" aria-label="How far back">
    ${WINDOWS.map(([each, name]) => html`<button type="button" aria-pressed=${each === seconds}
      onClick=${() => refine({ window: each === WINDOWS[0][0] ? "" : each })}>${name}</button>`)}
  </div>`;
}

// Of the attempts that ended, the share that failed; unknown where none ended.
const shares = ({ failed, succeeded }) => failed.map((value, index) => {
  const ended = value + succeeded[index];
  return value === null || !ended ? null : value / ended;
});

const nothing = () => ({
  at: [],
  counts: { ready: [], running: [], scheduled: [], dead: [] },
  rates: { submitted: [], succeeded: [], failed: [] },
  waiting: { p50: [], p95: [] },
  duration: { p50: [], p95: [] },
});
