import { html } from "../lib/dom.js";
import { Store, useStore } from "../lib/store.js";
import { nextTheme, theme } from "../lib/theme.js";
import { Half, Moon, Sun } from "./icons.js";

const chosen = new Store(theme());
const SIGNS = { auto: Half, light: Sun, dark: Moon };
const NAMES = { auto: "as the system", light: "light", dark: "dark" };

export const switchTheme = () => chosen.set(nextTheme());

export function ThemeSwitch() {
  const now = useStore(chosen);
  const says = `Colours: ${NAMES[now]}`;
  return html`<button class="icon-button" type="button" aria-label=${says} title=${`${says} (c)`}
    onClick=${switchTheme}><${SIGNS[now]} /></button>`;
}
