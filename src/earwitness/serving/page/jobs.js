// The queue: two recordings at a time go to the server, the others wait.

import { ask, sentence } from "./server.js";

const AT_ONCE = 2;
const TRIES = 6; // of a request that the server refuses for now
const UPLOAD = 0.2; // of the progress bar
const TAGS = 0.15; // of the progress bar, where tags follow the captions

/**
 * One recording: `file`, or `url` of one that the server fetches. state: waiting, sending, working, retrying,
 * then done, partial (an error after some captions), failed or cancelled.
 */
export class Job {
  state = "waiting";
  progress = null; // 0..1, null while nobody knows
  captions = [];
  tags = null;
  end = null; // model, duration, damaged, covered
  error = "";
  request = null;
  timer = null;

  constructor(file, url = null) {
    this.file = file;
    this.url = url;
    this.name = file ? file.name : decodeURIComponent(new URL(url).pathname.split("/").pop()) || new URL(url).host;
    this.media = file ? URL.createObjectURL(file) : null;
    this.isVideo = file?.type.startsWith("video/") ?? false;
  }

  get finished() {
    return ["done", "partial", "failed", "cancelled"].includes(this.state);
  }

  /** Seconds it lasts, as far as anybody knows. */
  get length() {
    return this.end?.duration ?? this.seconds ?? null;
  }
}

/**
 * settings() -> {window, key, tags}; events: state(job), progress(job), caption(job, caption), found(job) for
 * tags and the end. Returns {add, retry, cancel}.
 */
export function queue(settings, events) {
  const waiting = [];
  let running = 0;

  const set = (job, state, values = {}) => {
    Object.assign(job, values, { state });
    events.state(job);
  };

  const next = () => {
    while (running < AT_ONCE && waiting.length) {
      running++;
      run(waiting.shift()).finally(() => { running--; next(); });
    }
  };

  const advance = (job, share) => {
    job.progress = share;
    events.progress(job);
  };

  function receive(job, { type, ...values }, tagged) {
    if (type === "caption") {
      job.captions.push(values);
      events.caption(job, values);
    } else if (type === "progress") {
      if (job.state !== "working") set(job, "working");
      const work = 1 - UPLOAD - (tagged ? TAGS : 0), share = job.length ? Math.min(1, values.seconds / job.length) : null;
      if (share !== null) advance(job, values.stage === "tags" ? 1 - TAGS * (1 - share) : UPLOAD + work * share);
    } else if (type === "error") job.error = sentence(values.detail);
    else {
      job[type] = values;
      events.found(job);
    }
  }

  async function run(job) {
    const { window, key, tags } = settings();
    Object.assign(job, { captions: [], tags: null, end: null, error: "", tries: (job.tries ?? 0) + 1 });
    set(job, "sending", { progress: null });
    const fields = { format: "ndjson", window, tags: tags ? "true" : "", file: job.file, url: job.url };
    job.request = ask(fields, key, {
      sent: (share) => {
        if (share < 1) return advance(job, UPLOAD * share);
        if (job.state === "sending") set(job, "working", { progress: null });
      },
      line: (line) => receive(job, line, tags),
    });
    try {
      await job.request.done;
      finish(job);
    } catch (refusal) {
      if (job.state === "cancelled") return;
      if (refusal.retry !== null && !job.captions.length && job.tries < TRIES) return later(job, refusal);
      job.error = refusal.message;
      finish(job);
    }
  }

  function finish(job) {
    job.progress = 1;
    set(job, !job.error ? "done" : job.captions.length ? "partial" : "failed");
  }

  function later(job, refusal) {
    set(job, "retrying", { error: refusal.message, progress: null, again: refusal.retry });
    job.timer = setTimeout(() => add(job), 1000 * refusal.retry);
  }

  function add(job) {
    waiting.push(job);
    set(job, "waiting", { progress: null });
    next();
  }

  return {
    add,
    retry: (job) => { job.tries = 0; add(job); },
    cancel: (job) => {
      clearTimeout(job.timer);
      const place = waiting.indexOf(job);
      if (place >= 0) waiting.splice(place, 1);
      set(job, "cancelled", { error: "Cancelled." });
      job.request?.abort();
    },
  };
}
