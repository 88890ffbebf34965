// The server's time, for views that show ages: drawn again once a second.
import { useEffect, useState } from "./dom.js";
import { serverNow } from "./live.js";

export function useNow() {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
