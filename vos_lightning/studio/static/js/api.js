// Requests to the server. All addresses are relative: the page lives below the token.

export const page = Math.random().toString(36).slice(2);

/** Sends a request; errors carry the server's one line. */
async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { "x-page": page, ...options.headers } });
  } catch {
    throw new Error("The studio does not answer; is it still running?");
  }
  if (!response.ok) {
    const text = await response.text();
    let message = text;
    try { message = JSON.parse(text).error; } catch { /* plain text */ }
    throw new Error(message || `The studio answered ${response.status}`);
  }
  return response;
}

export const getJSON = async (path) => (await request(path)).json();

const sendJSON = (method) => async (path, content) =>
  (await request(path, { method, body: JSON.stringify(content), headers: { "content-type": "application/json" } })).json();
export const postJSON = sendJSON("POST");
export const putJSON = sendJSON("PUT");

export const remove = async (path) => (await request(path, { method: "DELETE" })).json();
export const upload = (path, file) => request(path, { method: "POST", body: file });

export const getBlob = async (path) => (await request(path)).blob();

const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
const unzip = async (response) =>
  new Uint8Array(await through(await response.arrayBuffer(), new DecompressionStream("gzip")));

/** Ids of a frame, one byte per pixel. */
export const getIds = async (path) => unzip(await request(path));
export const putIds = async (path, ids) =>
  (await request(path, { method: "PUT", body: await through(ids, new CompressionStream("gzip")) })).json();
/** Pixels of an outline: 1 inside. */
export const askOutline = async (path, wish) =>
  unzip(await request(path, { method: "POST", body: JSON.stringify(wish), headers: { "content-type": "application/json" } }));

/** Calls `onEvent` with what the server tells, `onOpen` when it is there: at first, and after having been away. */
export function listen(onEvent, onOpen) {
  const source = new EventSource("events");
  source.onmessage = (message) => onEvent(JSON.parse(message.data));
  source.onopen = onOpen;
}
