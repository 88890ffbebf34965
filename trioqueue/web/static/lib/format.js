// Numbers, spans and times as text. Seconds everywhere; unknown is a dash, never zero.
const DASH = "–";
const WHOLE = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? WHOLE.format(value) : DASH);

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function rate(value) {
  if (!known(value)) return DASH;
  if (value === 0) return "0/s";
  if (value < 0.095) return `${trim(value * 60, 1)}/min`;
  return `${value < 100 ? trim(value, 1) : WHOLE.format(Math.round(value))}/s`;
}

export function percent(share) {
  if (!known(share)) return DASH;
  const value = share * 100;
  return `${value > 0 && value < 10 ? trim(value, 1) : Math.round(value)}%`;
}

const trim = (value, digits) => value.toFixed(digits).replace(/\.0+$/, "");

export function duration(seconds) {
  if (!known(seconds)) return DASH;
  const value = Math.max(0, seconds);
  if (value === 0) return "0 s";
  if (value < 0.001) return "<1 ms";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.95) return `${trim(value, value < 10 ? 1 : 0)} s`;
  return inUnits(Math.round(value));
}

function inUnits(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, name] = units[first];
  const rest = Math.floor((seconds % size) / (units[first + 1]?.[0] ?? 1));
  const more = first < units.length - 1 && rest ? ` ${rest} ${units[first + 1][1]}` : "";
  return `${Math.floor(seconds / size)} ${name}${more}`;
}

export function clock(unix, now = Date.now() / 1000) {
  if (!known(unix)) return DASH;
  const date = new Date(unix * 1000);
  const time = TIME.format(date);
  return date.toDateString() === new Date(now * 1000).toDateString() ? time : `${DAY.format(date)}, ${time}`;
}

export const exact = (unix) => (known(unix) ? new Date(unix * 1000).toISOString() : "");

// A value as a person would write it: text stays text, the rest is JSON.
export const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "");
