// A classic script: it runs before the page is painted. `lib/theme.js` changes what is set here.
"use strict";
try {
  const chosen = localStorage.getItem("trioqueue-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden: then the system's choice holds.
}
