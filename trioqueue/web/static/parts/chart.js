// A small chart: its lines, the latest values in words and, under the pointer or with the arrow keys,
// those of any moment. Drawn in SVG, so that colours follow the theme and nothing is measured.
import { html, useState } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { nearest, paths, roundUp, thin } from "../lib/scale.js";

const POINTS = 120; // as fine as an eye sees on a small chart

// lines: [{label, values, tone, area}]; show: value -> text; least: the axis reaches at least so far;
// pick: how neighbours become one point, if not by their mean.
export function Chart({ title, at, lines, span, show, least = 0, none, pick }) {
  const [cursor, setCursor] = useState(null); // a time, so that it stays where it is as data arrive
  const thinned = thin(at, lines.map((line) => line.values), (span[1] - span[0]) / POINTS, pick);
  const drawn = lines.map((line, index) => ({ ...line, values: thinned.lines[index] }));
  const known = drawn.flatMap((line) => line.values.filter((value) => value != null));
  const top = roundUp(Math.max(least, ...known));
  const here = cursor === null ? thinned.at.length - 1 : nearest(thinned.at, cursor);

  function point(event) {
    const box = event.currentTarget.getBoundingClientRect();
    setCursor(span[0] + ((event.clientX - box.left) / box.width) * (span[1] - span[0]));
  }

  function press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !thinned.at.length) return;
    event.preventDefault();
    setCursor(thinned.at[Math.min(thinned.at.length - 1, Math.max(0, here + step))]);
  }

  const latest = drawn.map((line) => `${line.label} ${show(line.values[here])}`).join(", ");
  return html`<figure class="chart">
    <figcaption>
      <span class="chart-title">${title}</span>
      <span class="chart-moment">${cursor !== null && known.length ? clock(thinned.at[here]) : ""}</span>
      <span class="legend">${drawn.map((line) => html`<span class="legend-entry">
        ${drawn.length > 1 && html`<span class=${`swatch ${line.tone}`} aria-hidden="true"></span>
        <span class="soft">${line.label}</span>`}
        <b>${show(line.values[here])}</b></span>`)}</span>
    </figcaption>
    <div class="plot" tabindex="0" role="img" aria-label=${`${title}: ${latest}`}
      onPointerMove=${point} onPointerLeave=${() => setCursor(null)} onKeyDown=${press}
      onBlur=${() => setCursor(null)}>
      <span class="top-value" aria-hidden="true">${known.length ? show(top) : ""}</span>
      <svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">
        <path class="grid" d="M0 0H1000M0 50H1000M0 100H1000"></path>
        ${drawn.map((line) => html`<${Line} line=${line} at=${thinned.at} span=${span} top=${top} />`)}
        ${cursor !== null && known.length > 0 && html`<${Cursor} x=${position(thinned.at[here], span)} />`}
      </svg>
      ${!known.length && html`<span class="no-data">${none}</span>`}
    </div>
    <div class="x-axis" aria-hidden="true"><span>${axisTime(span[0])}</span><span>now</span></div>
  </figure>`;
}

const position = (time, [from, to]) => ((time - from) / (to - from)) * 1000;
const axisTime = (time) => clock(time).replace(/:\d\d$/, "");

function Line({ line, at, span, top }) {
  const drawn = paths(at, line.values, span, top);
  return html`<g class=${`line ${line.tone}`}>
    ${line.area && html`<path class="area" d=${drawn.area}></path>`}
    <path class="stroke" d=${drawn.line}></path>
  </g>`;
}

const Cursor = ({ x }) => html`<path class="cursor" d=${`M${x} 0V100`}></path>`;
