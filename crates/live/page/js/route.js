// The address: `#/conversation?user=alice&exchange=12&frame=15&at=120`. It holds what is shown and what is selected.

// Where each view was left, for its link in the header.
export const visited = new Map();

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  return { view, id, ...Object.fromEntries(new URLSearchParams(query)), query };
}

/** The address of a view with these parameters; `null` and "" leave one out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value != null && value !== ""));
  return `#/${path}${query.size ? `?${query}` : ""}`;
}

/** Changes parameters of the present address, without a new entry in the history. */
export function note(changes) {
  const { view, id, query } = read();
  const next = address(id ? `${view}/${id}` : view, { ...Object.fromEntries(new URLSearchParams(query)), ...changes });
  if (next !== location.hash) history.replaceState(null, "", next);
  visited.set(view, next);
}
