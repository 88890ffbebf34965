// Asks before something that cannot be undone, or that concerns many tasks.
import { html, useEffect, useRef } from "../lib/dom.js";
import { Store, useStore } from "../lib/store.js";

const question = new Store(null);

// {title, text, verb, danger}: a promise of true or false.
export function confirm(asked) {
  return new Promise((answer) => question.set({ ...asked, answer }));
}

export function ConfirmHost() {
  const asked = useStore(question);
  const dialog = useRef(null);
  useEffect(() => {
    if (asked && !dialog.current.open) dialog.current.showModal();
  }, [asked]);
  if (!asked) return null;

  function end(event) {
    question.set(null);
    asked.answer(event.target.returnValue === "yes");
  }

  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="question" onClose=${end}>
    <form method="dialog">
      <h2 id="question">${asked.title}</h2>
      <p>${asked.text}</p>
      <div class="actions">
        <button class="button" value="no" autofocus>Keep everything as it is</button>
        <button class=${`button ${asked.danger ? "danger" : "primary"}`} value="yes">${asked.verb}</button>
      </div>
    </form>
  </dialog>`;
}
