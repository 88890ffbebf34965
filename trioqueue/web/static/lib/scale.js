// The arithmetic of charts: no drawing.

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

// The least round number that is not under `value`.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = STEPS.find((each) => each * power >= value * 0.999999);
  return Number((step * power).toPrecision(12));
}

// One point for every `width` seconds, `pick`ed from its neighbours: `mean` of them, or `last`. The
// bins are tied to the time, not to the place in the list: else the whole curve would tremble with
// every point that is added.
export function thin(at, lines, width, pick = mean) {
  const starts = at.map((_, index) => index).filter((index) =>
    index === 0 || Math.floor(at[index] / width) !== Math.floor(at[index - 1] / width));
  const spans = starts.map((start, index) => [start, starts[index + 1] ?? at.length]);
  return {
    at: spans.map(([, end]) => at[end - 1]),
    lines: lines.map((values) => spans.map(([from, to]) => pick(values.slice(from, to)))),
  };
}

export const last = (values) => values[values.length - 1];

function mean(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

// Paths of a line, and of the area under it, in a box of 1000 by 100. Gaps where nothing is known.
export function paths(at, values, [from, to], top) {
  const x = (time) => (((time - from) / (to - from)) * 1000).toFixed(1);
  const y = (value) => (100 - (Math.min(value, top) / top) * 100).toFixed(2);
  let line = "";
  let area = "";
  for (const [start, end] of runs(values)) {
    const points = [];
    for (let index = start; index < end; index += 1) points.push(`${x(at[index])} ${y(values[index])}`);
    if (points.length === 1) points.push(points[0]); // a dot, by the round ends of the line
    line += `M${points.join("L")}`;
    area += `M${x(at[start])} 100L${points.join("L")}L${x(at[end - 1])} 100Z`;
  }
  return { line, area };
}

function runs(values) {
  const found = [];
  let start = -1;
  values.forEach((value, index) => {
    const known = value !== null && value !== undefined;
    if (known && start < 0) start = index;
    if (!known && start >= 0) {
      found.push([start, index]);
      start = -1;
    }
  });
  if (start >= 0) found.push([start, values.length]);
  return found;
}

export function nearest(at, time) {
  let best = 0;
  at.forEach((each, index) => {
    if (Math.abs(each - time) < Math.abs(at[best] - time)) best = index;
  });
  return best;
}
