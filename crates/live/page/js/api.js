// The server's API: calls, errors and events.

const TOKEN = document.querySelector("meta[name=plainsight-token]").content;

/** An error as the API gives it. */
class Failure extends Error {
  constructor({ code, message, remedy }, status) {
    super(message);
    Object.assign(this, { code, remedy, status });
  }
}

/** The address of something to open in a tab or to download, where no header can be sent. */
export const link = (path) => `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(TOKEN)}`;

/** Calls the API. `body` becomes JSON; the answer is read as JSON. */
export async function api(method, path, body) {
  const headers = { "X-Plainsight-Token": TOKEN };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const asked = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
    .catch(() => null);
  return answerOf(asked && asked.status, asked && await asked.text());
}

function answerOf(status, text) {
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    // Not the API's: the status alone has to do.
  }
  if (status >= 200 && status < 300) return data;
  throw new Failure(data?.error ?? { code: status ? `http_${status}` : "unreachable", message: "", remedy: null }, status);
}

/** Sends a file, and says how far it is. Returns a promise and the function that cancels it. */
export function upload(path, file, progress) {
  // `fetch` cannot say how much of a body was sent.
  const request = new XMLHttpRequest();
  const sent = new Promise((done, failed) => {
    request.open("POST", path);
    request.setRequestHeader("X-Plainsight-Token", TOKEN);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => { try { done(answerOf(request.status, request.responseText)); } catch (error) { failed(error); } };
    request.onerror = () => failed(new Failure({ code: "unreachable", message: "" }));
    request.onabort = () => failed(new Failure({ code: "cancelled", message: "" }));
    request.send(file);
  });
  return { sent, cancel: () => request.abort() };
}

const KINDS = ["exchange", "state", "run", "box", "capture", "resync"];
const heard = new Map(KINDS.map((kind) => [kind, new Set()]));
heard.set("link", new Set());
let source = null;
let listener = "";
// Whether this server has ever taken the token.
let known = false;

/** Calls `f` at each event of this kind (`link`: whether the server is there). Returns what ends that. */
export function on(kind, f) {
  heard.get(kind).add(f);
  return () => heard.get(kind).delete(f);
}

const tell = (kind, data) => { for (const f of heard.get(kind)) f(data); };

/** Listens to the events of a user. */
export function listen(user) {
  source?.close();
  listener = user;
  source = new EventSource(link(`/api/events?user=${encodeURIComponent(user)}`));
  source.onopen = () => {
    known = true;
    tell("link", true);
    // What happened before is not sent again.
    tell("resync", {});
  };
  source.onerror = () => {
    tell("link", false);
    // The browser itself tries again, but not after a refusal.
    if (source?.readyState === EventSource.CLOSED) setTimeout(comeBack, 2000);
  };
  for (const kind of KINDS) source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
}

// A server that was started again has another token: the page that it serves has it.
async function comeBack() {
  if (source?.readyState !== EventSource.CLOSED) return;
  try {
    await api("GET", "/api/state");
    listen(listener);
  } catch ({ status }) {
    if (known && (status === 401 || status === 403)) location.reload();
    else setTimeout(comeBack, 2000);
  }
}

// A browser opens few connections to one host, and events hold one: a tab that is not looked at gives its own up.
function rest() {
  source?.close();
  source = null;
}
addEventListener("pagehide", rest);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) rest();
  else wake();
});
addEventListener("pageshow", wake);
function wake() {
  if (source || !listener || document.hidden) return;
  listen(listener);
}
