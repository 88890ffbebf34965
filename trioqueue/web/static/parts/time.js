// Ages and moments; the exact time is in the title.
import { html } from "../lib/dom.js";
import { clock, duration, exact } from "../lib/format.js";

export function Ago({ at, now }) {
  if (at == null) return "–";
  return html`<time datetime=${exact(at)} title=${exact(at)}>${duration(Math.max(0, Math.round(now - at)))} ago</time>`;
}

export function Until({ at, now }) {
  if (at == null) return "–";
  const left = at - now;
  return html`<time datetime=${exact(at)} title=${exact(at)}>
    ${left > 0 ? `in ${duration(Math.max(1, Math.round(left)))}` : "now"}</time>`;
}

export const Moment = ({ at, now }) =>
  at == null ? "–" : html`<time datetime=${exact(at)} title=${exact(at)}>${clock(at, now)}</time>`;
