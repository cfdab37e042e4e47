// What the server is asked: a recording goes up, lines of JSON come down while it listens.

export const health = async () => (await fetch("healthz")).json();

/** POST of a form. sent(share 0..1) while it goes up, received(text so far) while the answer comes down. */
function post(path, fields, key, { sent = () => {}, received = () => {} }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== "") form.append(name, value);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) => sent(event.loaded / event.total);
    request.onprogress = () => request.status === 200 && received(request.responseText);
    request.onload = () => (request.status === 200 ? resolve(request.responseText) : reject(new Error(reason(request))));
    request.onerror = () => reject(new Error("The server cannot be reached, or it broke off."));
    request.send(form);
  });
}

function reason(request) {
  try {
    const { detail } = JSON.parse(request.responseText);
    return detail.charAt(0).toUpperCase() + detail.slice(1) + ".";
  } catch {
    return `The server answered ${request.status}.`;
  }
}

/** heard(line) for each line of the answer: progress, caption, end. */
export async function captions(file, window, key, { sent, heard }) {
  let read = 0;
  const received = (text) => {
    const end = text.lastIndexOf("\n") + 1;
    for (const line of text.slice(read, end).split("\n")) if (line) heard(JSON.parse(line));
    read = end;
  };
  received(await post("v1/captions", { format: "ndjson", window, file }, key, { sent, received }));
}

export const tags = async (file, key) => JSON.parse(await post("v1/tags", { file }, key, {}));
