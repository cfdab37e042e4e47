// The list of recordings: each with its name, how far it is, its first caption, and what can be done with it.

import { $, element, minutes, shortened } from "./dom.js";

const STATES = {
  waiting: () => "waiting",
  sending: (job) => (job.url ? "fetching" : "uploading"),
  working: () => "captioning",
  retrying: (job) => `${job.error} Trying again in ${job.again} s.`,
  done: (job) => `${counted(job)}, ${minutes(job.end.duration)}`,
  partial: (job) => `partial: ${counted(job)}. ${job.error}`,
  failed: (job) => job.error,
  cancelled: (job) => (job.captions.length ? `cancelled: ${counted(job)}` : "cancelled"),
};

const counted = (job) => `${job.captions.length} caption${job.captions.length === 1 ? "" : "s"}`;

export const stateOf = (job) => STATES[job.state](job);

/** choose, retry, cancel, remove: called with a job. Returns {add, state, progress, first, current, remove}. */
export function list({ choose, retry, cancel, remove }) {
  const rows = new Map();

  function add(job) {
    const row = {
      first: element("span", { className: "first" }),
      state: element("span", { className: "quiet" }),
      bar: element("progress", { max: 1, hidden: true }),
      retry: tool("Retry", "↻", () => retry(job)),
      cancel: tool("Cancel", "■", () => cancel(job)),
      remove: tool("Remove", "✕", () => remove(job)),
    };
    for (const name of ["Retry", "Cancel", "Remove"]) row[name.toLowerCase()].setAttribute("aria-label", `${name} ${job.name}`);
    row.bar.setAttribute("aria-label", `Progress of ${job.name}`);
    row.button = element("button", { className: "pick", type: "button", onclick: () => choose(job) }, shortened(job.name), row.first, row.state);
    const tools = element("span", { className: "tools" }, row.retry, row.cancel, row.remove);
    row.item = element("li", {}, row.button, tools, row.bar);
    rows.set(job, row);
    $("jobs").append(row.item);
    state(job);
  }

  function state(job) {
    const row = rows.get(job);
    if (!row) return;
    row.item.className = job.state;
    row.state.textContent = stateOf(job);
    row.retry.hidden = !job.finished || job.state === "done";
    row.cancel.hidden = job.finished;
    row.remove.hidden = !job.finished;
    if (!job.captions.length) row.first.textContent = "";
    progress(job);
  }

  function progress(job) {
    const { bar } = rows.get(job) ?? {};
    if (!bar) return;
    bar.hidden = !["sending", "working"].includes(job.state);
    if (job.progress === null) bar.removeAttribute("value");
    else bar.value = job.progress;
  }

  return {
    add,
    state,
    progress,
    first: (job) => { const row = rows.get(job); if (row) row.first.textContent = job.captions[0].caption; },
    current: (job) => rows.forEach((row, other) => row.button.setAttribute("aria-current", String(other === job))),
    remove: (job) => { rows.get(job)?.item.remove(); rows.delete(job); },
  };
}

const tool = (title, sign, onclick) => element("button", { className: "icon", type: "button", title, onclick, textContent: sign });
