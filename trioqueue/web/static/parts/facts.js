import { html } from "../lib/dom.js";

// [[name, value]]: those without a value are left out.
export const Facts = ({ entries }) => html`<dl class="facts">
  ${entries.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl>`;
