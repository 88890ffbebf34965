// What is round every view: header, navigation, notices, dialogs.
import { pageTitle, readOnly } from "./lib/api.js";
import { html, useEffect, useErrorBoundary, useRef, useState } from "./lib/dom.js";
import { helpOpen } from "./lib/keys.js";
import { live } from "./lib/live.js";
import { route } from "./lib/route.js";
import { useStore } from "./lib/store.js";
import { Connection } from "./parts/connection.js";
import { ConfirmHost } from "./parts/confirm.js";
import { Help } from "./parts/help.js";
import { Mark, MenuIcon } from "./parts/icons.js";
import { Navigation } from "./parts/navigation.js";
import { Notice } from "./parts/notice.js";
import { ThemeSwitch } from "./parts/theme-switch.js";
import { viewOf } from "./routes.js";

export function Shell() {
  const here = useStore(route);
  const [menu, setMenu] = useState(false);
  const view = viewOf(here.path);
  useEffect(() => setMenu(false), [here]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href="#/" aria-label=${`${pageTitle}: overview`}>
        <${Mark} /><span class="brand-name">${pageTitle}</span>
      </a>
      <${Where} />
      <span class="spring" />
      <${Connection} />
      <${ThemeSwitch} />
      <button class="icon-button keys-button" type="button" aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)" onClick=${() => helpOpen.set(true)}>?</button>
      <button class="icon-button menu-button" type="button" aria-label="Menu" aria-expanded=${menu}
        aria-controls="navigation" onClick=${() => setMenu(!menu)}><${MenuIcon} /></button>
    </header>
    <${Navigation} current=${view.id} open=${menu} close=${() => setMenu(false)} />
    <main id="main" tabindex="-1">
      <${Page} key=${`${view.id}/${here.path[1] ?? ""}`} view=${view} route=${here} />
    </main>
    <${Notice} />
    <${ConfirmHost} />
    <${Help} />
  `;
}

function skip(event) {
  event.preventDefault(); // the hash is ours: it says which view is shown
  document.getElementById("main").focus();
}

function Where() {
  const { overview } = useStore(live);
  return html`<span class="where">
    ${overview && html`<span class="broker">${overview.broker}</span>`}
    ${readOnly && html`<span class="tag" title="Nothing can be changed here">read-only</span>`}
  </span>`;
}

let first = true;

function Page({ view, route: here }) {
  const [error, reset] = useErrorBoundary();
  const heading = useRef(null);
  useEffect(() => {
    document.title = view.title === "Overview" ? pageTitle : `${view.title} · ${pageTitle}`;
    // Who listens to the page instead of looking at it is told where he is now.
    if (!first && !here.params.focus) heading.current?.focus({ preventScroll: true });
    if (!first) scrollTo(0, 0);
    first = false;
  }, []);
  if (error) {
    return html`<h1>Something went wrong in the page</h1>
      <p class="note bad" role="alert">${String(error)}</p>
      <p><button class="button" type="button" onClick=${reset}>Try again</button></p>`;
  }
  return html`<h1 ref=${heading} tabindex="-1" class=${view.quiet ? "unseen" : ""}>${view.title}</h1>
    <${view.component} ...${here} />`;
}
