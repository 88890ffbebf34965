// Starts the page: the stream of live data, the keyboard, and the shell with the current view in it.
import { html, render } from "./lib/dom.js";
import { startKeys } from "./lib/keys.js";
import { startLive } from "./lib/live.js";
import { Shell } from "./shell.js";
import { switchTheme } from "./parts/theme-switch.js";

startLive();
startKeys({ c: switchTheme });
const root = document.getElementById("app");
root.textContent = "";
render(html`<${Shell} />`, root);
