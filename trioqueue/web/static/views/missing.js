import { html } from "../lib/dom.js";

export const Missing = () => html`<p class="empty">
  The address names no view. <a href="#/">Go to the overview</a>, or press <kbd>?</kbd> for all ways.
</p>`;
