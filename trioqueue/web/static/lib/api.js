// Requests to the server's JSON API. Addresses are relative: the app may be mounted anywhere.
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const pageTitle = meta("title");
export const readOnly = meta("read-only") === "true";
let token = meta("csrf-token");

export class ApiError extends Error {
  constructor(message, status = 0, body = {}) {
    super(message);
    this.status = status; // 0: there was no answer
    this.body = body;
  }
}

export function address(path, params = {}) {
  const url = new URL(`api/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  url.hash = "";
  return url.href;
}

export const get = (url, signal) => answer(url, { signal });

export async function post(path, body = {}) {
  try {
    return await send(path, body);
  } catch (error) {
    // The token of a server that was started anew since this page was loaded: fetch it, try again.
    if (!error.body?.csrf) throw error;
    token = (await get(address("session"))).csrf_token;
    return send(path, body);
  }
}

function send(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": token };
  return answer(address(path), { method: "POST", headers, body: JSON.stringify(body) });
}

async function answer(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const said = body?.error ?? `The server answered ${response.status} ${response.statusText}`.trim();
  throw new ApiError(said, response.status, body ?? {});
}
