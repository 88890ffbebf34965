// Whether what is shown is what is. Said aloud only when it changes, not once a second.
import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { duration } from "../lib/format.js";
import { live } from "../lib/live.js";
import { useStore } from "../lib/store.js";

export function Connection() {
  const { connected, seenAt, overview } = useStore(live);
  useNow();
  if (connected && overview?.available === false) {
    const why = overview.error ?? "The broker does not answer.";
    return html`<${Line} tone="bad" text="broker away" more="" title=${why} />`;
  }
  if (connected) return html`<${Line} tone="good" text="live" more="" />`;
  if (seenAt === null) return html`<${Line} tone="idle" text="connecting" more="" />`;
  const since = duration(Math.floor((Date.now() - seenAt) / 1000));
  return html`<${Line} tone="bad" text="not connected" more=${`, last seen ${since} ago`} />`;
}

function Line({ tone, text, more, title = "" }) {
  return html`<span class=${`connection ${tone}`} title=${title}>
    <span class="dot" aria-hidden="true"></span>
    <span><span role="status">${text}</span><span class="more">${more}</span></span>
  </span>`;
}
