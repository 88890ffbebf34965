// The few drawings. All are decoration: what they stand for is also said in text.
import { html } from "../lib/dom.js";

const icon = (content, box = 16) => html`<svg class="icon" viewBox=${`0 0 ${box} ${box}`}
  aria-hidden="true" focusable="false">${content}</svg>`;

// Three tasks in a row, the first about to leave.
export const Mark = () => html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
  <rect x="2" y="4" width="14" height="4" rx="2"></rect>
  <rect x="5" y="10" width="14" height="4" rx="2"></rect>
  <rect x="8" y="16" width="14" height="4" rx="2"></rect>
</svg>`;

export const MenuIcon = () => icon(html`<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"></path>`);

export const Sun = () => icon(html`<circle cx="8" cy="8" r="2.9"></circle>
  <path d="M8 1.6v1.5M8 12.9v1.5M1.6 8h1.5M12.9 8h1.5M3.5 3.5l1 1M11.5 11.5l1 1M3.5 12.5l1-1M11.5 4.5l1-1"></path>`);

export const Moon = () => icon(html`<path d="M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7z"></path>`);

export const Half = () => icon(html`<circle cx="8" cy="8" r="5.6"></circle>
  <path class="filled" d="M8 2.4a5.6 5.6 0 0 1 0 11.2z"></path>`);
