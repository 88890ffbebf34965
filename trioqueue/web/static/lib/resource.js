// What a view reads from the API: fetched, kept while it is fetched again, refreshed as long as the
// page is looked at.
import { address, get } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { live } from "./live.js";
import { Store } from "./store.js";

// Raised by whoever changed something on the server: every resource on the page is read again.
export const changes = new Store(0);
export const somethingChanged = () => changes.set(changes.value + 1);

const NOTHING = { url: null, data: null, error: null };

// `path` null: read nothing. `every`: milliseconds between two readings, 0 for a single one.
// While other parameters are being read, `data` is still the old and `stale` says so.
export function useResource(path, params = {}, every = 0) {
  const url = path === null ? null : address(path, params);
  const [state, setState] = useState(NOTHING);
  useEffect(() => (url === null ? undefined : keepReading(url, every, setState)), [url, every]);
  if (url === null) return { ...NOTHING, stale: false };
  return { ...state, stale: state.url !== url };
}

function keepReading(url, every, setState) {
  let ended = false;
  let timer = 0;
  let request = null;

  async function read() {
    clearTimeout(timer);
    request?.abort();
    const mine = (request = new AbortController());
    try {
      const data = await get(url, mine.signal);
      if (mine === request && !ended) setState({ url, data, error: null });
    } catch (error) {
      if (mine !== request || ended || error.name === "AbortError") return;
      setState((old) => ({ url, data: old.url === url ? old.data : null, error }));
    }
    if (mine === request && !ended && every) timer = setTimeout(next, every);
  }

  function next() {
    if (document.hidden) timer = setTimeout(next, every);
    else read();
  }

  let connected = live.value.connected;
  const endings = [
    changes.follow(read),
    live.follow((now) => {
      if (now.connected && !connected) read();
      connected = now.connected;
    }),
  ];
  read();
  return () => {
    ended = true;
    clearTimeout(timer);
    request?.abort();
    for (const end of endings) end();
  };
}
