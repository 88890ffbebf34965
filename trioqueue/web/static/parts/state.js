// A task's state: a coloured dot, and the word, since colour alone says nothing to many.
import { html } from "../lib/dom.js";

export const STATES = ["ready", "running", "scheduled", "succeeded", "dead", "cancelled", "expired"];

export const State = ({ of }) => html`<span class=${`state ${of}`}>
  <span class="dot" aria-hidden="true"></span>${String(of).replaceAll("_", " ")}
</span>`;
