// Paging: a list grows by its limit, so that what was read stays where it is.
import { html } from "../lib/dom.js";
import { refine } from "../lib/route.js";

export const PAGE = 50;
export const MOST = 500; // the server's own bound, and enough rows for a person

export const limitOf = (params) => Math.min(MOST, Math.max(1, Number(params.limit) || PAGE));

export function More({ more, limit, shown, of }) {
  if (!shown) return null;
  const next = Math.min(MOST, limit < PAGE * 2 ? PAGE * 2 : limit + PAGE * 2);
  return html`<p class="more-rows">
    <span class="soft">${of ?? `${shown} shown`}</span>
    ${more && limit < MOST && html`<button class="button" type="button"
      onClick=${() => refine({ limit: next })}>Show more</button>`}
    ${more && limit >= MOST && html`<span class="soft">These are the first ${MOST}: narrow the search to see others.</span>`}
  </p>`;
}
