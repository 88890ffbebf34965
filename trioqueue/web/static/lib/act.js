// Doing something on the server, and saying in one line what came of it.
import { post } from "./api.js";
import { somethingChanged } from "./resource.js";
import { Store } from "./store.js";

export const notice = new Store(null); // {text, bad, href} or null

let fading = 0;

export function tell(text, { bad = false, href = null } = {}) {
  clearTimeout(fading);
  notice.set({ text, bad, href });
  // An error stays until something else is said: nobody should have to be quick.
  if (!bad) fading = setTimeout(() => notice.set(null), 6_000);
}

// Post, and tell how it went. Returns the answer, or null after an error.
export async function act(path, body, said) {
  try {
    const answer = await post(path, body);
    const text = said(answer);
    if (text) tell(text);
    return answer;
  } catch (error) {
    tell(error.message, { bad: true });
    return null;
  } finally {
    somethingChanged();
  }
}
