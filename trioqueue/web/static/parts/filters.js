// The filters above a list. What they say is part of the address, so a list can be sent to others.
import { html, useEffect, useRef, useState } from "../lib/dom.js";
import { refine } from "../lib/route.js";

const PAUSE = 200; // ms after the last key, before the server is asked

export function TextFilter({ name, label, value = "", placeholder, search, grow }) {
  const [typed, setTyped] = useState(value);
  const timer = useRef(0);
  const field = useRef(null);
  const sent = useRef(value);
  useEffect(() => {
    // Our own text that comes back is older than what has been typed since.
    if (value !== sent.current) setTyped(value);
    sent.current = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (search === "focus") field.current.focus();
  }, []);

  function type(event) {
    const text = event.target.value;
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = text;
      refine({ [name]: text, limit: "" });
    }, PAUSE);
  }

  return html`<label class=${`field ${grow ? "grow" : ""}`}><span>${label}</span>
    <input ref=${field} type=${search ? "search" : "text"} value=${typed} placeholder=${placeholder} onInput=${type}
      data-search=${search ? true : null} spellcheck="false" autocomplete="off" /></label>`;
}

export function ChoiceFilter({ name, label, value = "", choices }) {
  return html`<label class="field"><span>${label}</span>
    <select value=${value} onChange=${(event) => refine({ [name]: event.target.value, limit: "" })}>
      ${choices.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select></label>`;
}

// Names seen so far, and the one that is asked for even if it is not among them.
export function named(everything, names, chosen) {
  const found = [...new Set([...names, chosen].filter(Boolean))].sort();
  return [["", everything], ...found.map((name) => [name, name])];
}
