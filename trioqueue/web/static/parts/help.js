import { html, useEffect, useRef } from "../lib/dom.js";
import { helpOpen, PLACES } from "../lib/keys.js";
import { useStore } from "../lib/store.js";

const OTHERS = [
  [["/"], "Search tasks"],
  [["j"], "Next row"],
  [["k"], "Previous row"],
  [["c"], "Colours: system, light, dark"],
  [["?"], "This help"],
  [["Esc"], "Close"],
];

export function Help() {
  const open = useStore(helpOpen);
  const dialog = useRef(null);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
  }, [open]);
  if (!open) return null;
  const places = PLACES.map(([letter, name]) => [["g", letter], name]);
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="help-title"
    onClose=${() => helpOpen.set(false)}>
    <form method="dialog">
      <h2 id="help-title">Keyboard</h2>
      <div class="two-columns">
        <${Keys} entries=${places} /><${Keys} entries=${OTHERS} />
      </div>
      <div class="actions"><button class="button" autofocus>Close</button></div>
    </form>
  </dialog>`;
}

const Keys = ({ entries }) => html`<dl class="keys">
  ${entries.map(([keys, name]) => html`<div>
    <dt>${keys.map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${name}</dd>
  </div>`)}
</dl>`;
