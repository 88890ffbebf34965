// The way to every view, with the numbers that one looks for first.
import { readOnly } from "../lib/api.js";
import { html } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { PLACES } from "../lib/keys.js";
import { live } from "../lib/live.js";
import { link } from "../lib/route.js";
import { useStore } from "../lib/store.js";

const NUMBERS = {
  running: (overview) => overview.counts.running,
  dead: (overview) => overview.counts.dead,
  workers: (overview) => overview.workers.live,
};

export function Navigation({ current, open, close }) {
  const { overview } = useStore(live);
  const places = PLACES.filter(([, , path]) => path[0] !== "submit" || maySubmit(overview));
  return html`<nav id="navigation" class=${open ? "open" : ""} aria-label="Views"
    onKeyDown=${(event) => event.key === "Escape" && close()}>
    ${places.map(([letter, name, path]) => {
      const id = path[0] ?? "overview";
      const isHere = id === current || (id === "tasks" && current === "task");
      return html`<a key=${id} href=${link(path)} title=${`g ${letter}`} onClick=${close}
        aria-current=${isHere ? "page" : null}>
        <span>${name}</span>${overview && NUMBERS[id] && html`<${Number} of=${NUMBERS[id](overview)}
          bad=${id === "dead"} />`}
      </a>`;
    })}
  </nav>`;
}

const maySubmit = (overview) => !readOnly && overview?.can_submit !== false;

const Number = ({ of, bad }) => html`<span class=${`number ${bad && of > 0 ? "bad" : ""}`}>
  ${count(of)}</span>`;
