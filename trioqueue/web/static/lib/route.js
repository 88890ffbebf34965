// Where in the page we are: "#/tasks?state=dead" is the path ["tasks"] and the parameters.
import { Store } from "./store.js";

export const route = new Store(read());

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decode),
    params: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand
  }
}

export function link(path = [], params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== "" && value != null);
  const query = new URLSearchParams(kept).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${query && `?${query}`}`;
}

export const go = (path, params) => {
  location.hash = link(path, params);
};

// What is being typed into a filter is one place, not one per key.
export function refine(changed) {
  const { path, params } = route.value;
  history.replaceState(null, "", link(path, { ...params, ...changed }));
  route.set(read());
}

addEventListener("hashchange", () => route.set(read()));
