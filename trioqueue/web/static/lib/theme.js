// Light, dark, or as the system says.
const ORDER = ["auto", "light", "dark"];

export const theme = () => document.documentElement.dataset.theme ?? "auto";

export function nextTheme() {
  const chosen = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("trioqueue-theme", chosen);
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
  return chosen;
}
