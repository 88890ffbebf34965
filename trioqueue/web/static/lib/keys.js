// Keyboard shortcuts. None has a modifier, and none works while something is being typed.
import { go } from "./route.js";
import { Store } from "./store.js";

export const PLACES = [
  ["o", "Overview", []],
  ["r", "Running now", ["running"]],
  ["t", "Tasks", ["tasks"]],
  ["f", "Failures", ["failures"]],
  ["d", "Dead letters", ["dead"]],
  ["q", "Queues", ["queues"]],
  ["w", "Workers", ["workers"]],
  ["s", "Submit", ["submit"]],
];

export const helpOpen = new Store(false);

let afterG = 0; // until when a letter means a place

export function startKeys(others) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, dialog")) return;
    if (press(event.key, others)) event.preventDefault();
  });
}

function press(key, others) {
  if (Date.now() < afterG) {
    afterG = 0;
    const place = PLACES.find(([letter]) => letter === key);
    if (place) go(place[2]);
    return Boolean(place);
  }
  if (key === "g") afterG = Date.now() + 1_500;
  else if (key === "?") helpOpen.set(true);
  else if (key === "/") search();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (others[key]) others[key]();
  else return false;
  return true;
}

function search() {
  const field = document.querySelector("[data-search]");
  if (field) field.select();
  else go(["tasks"], { focus: "search" });
}

// From row to row, through the first link of each.
function step(by) {
  const rows = [...document.querySelectorAll("#main [data-row-link]")];
  if (!rows.length) return;
  const here = rows.findIndex((row) => row.closest("tr, li")?.contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[Math.min(rows.length - 1, Math.max(0, next))].focus();
}
