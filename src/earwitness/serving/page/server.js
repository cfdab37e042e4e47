// What the server is asked: a recording goes up, lines of JSON come down while it is captioned.

export const health = async () => (await fetch("healthz")).json();

/** What the server refused: `retry` is the seconds after which to try again, or null. */
export class Refusal extends Error {
  constructor(message, retry = null) {
    super(message);
    this.retry = retry;
  }
}

/**
 * POST v1/captions of `fields` (empty ones are left out). sent(share 0..1) while it goes up, line(object) for
 * each line that comes down. Returns {done, abort}; done rejects with a Refusal, also for a stream that breaks
 * off, after the lines that came.
 */
export function ask(fields, key, { sent, line }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== "" && value != null) form.append(name, value);
  const request = new XMLHttpRequest();
  let read = 0, last = "";
  const receive = () => {
    if (request.status !== 200) return;
    const text = request.responseText, end = text.lastIndexOf("\n") + 1;
    if (end <= read) return;
    for (const part of text.slice(read, end).split("\n")) {
      if (!part) continue;
      const found = JSON.parse(part);
      last = found.type;
      line(found);
    }
    read = end;
  };
  const done = new Promise((resolve, reject) => {
    request.open("POST", "v1/captions");
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) => sent(event.loaded / event.total);
    request.onprogress = receive;
    request.onload = () => {
      receive();
      if (request.status !== 200) reject(refused(request));
      else if (last === "end" || last === "error") resolve();
      else reject(new Refusal("The server broke off."));
    };
    request.onerror = () => {
      receive();
      reject(new Refusal("The server cannot be reached, or it broke off."));
    };
    request.onabort = () => reject(new Refusal("Cancelled."));
    request.send(form);
  });
  return { done, abort: () => request.abort() };
}

function refused(request) {
  const again = [429, 503].includes(request.status) ? Number(request.getResponseHeader("Retry-After")) || 5 : null;
  try {
    return new Refusal(sentence(JSON.parse(request.responseText).detail), again);
  } catch {
    return new Refusal(`The server answered ${request.status}.`, again);
  }
}

export const sentence = (detail) => detail.charAt(0).toUpperCase() + detail.slice(1) + ".";
