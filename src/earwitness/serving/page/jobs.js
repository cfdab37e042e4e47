// The queue: two recordings at a time go to the server, the others wait.

import { captions, tags } from "./server.js";

const AT_ONCE = 2;
const UPLOAD = 0.3; // of the progress bar

export class Job {
  state = "waiting"; // then uploading, listening, done or failed
  progress = 0; // 0..1, null while nobody knows
  captions = [];
  tags = null;
  end = null; // model, duration, damaged, covered
  error = "";

  constructor(file) {
    this.file = file;
    this.url = URL.createObjectURL(file);
  }

  get finished() {
    return this.state === "done" || this.state === "failed";
  }
}

/** changed(job) whenever something is new; settings() -> {window, key, tags}. Returns add(job). */
export function queue(changed, settings) {
  const waiting = [];
  let running = 0;

  const next = () => {
    while (running < AT_ONCE && waiting.length) {
      running++;
      run(waiting.shift()).finally(() => { running--; next(); });
    }
  };

  async function run(job) {
    const set = (values) => { Object.assign(job, values); changed(job); };
    const asked = settings();
    const heard = {
      progress: (line) => set({ state: "listening", progress: job.seconds ? UPLOAD + (1 - UPLOAD) * Math.min(1, line.heard / job.seconds) : null }),
      caption: ({ type, ...caption }) => set({ captions: [...job.captions, caption] }),
      end: ({ type, ...end }) => set({ end }),
    };
    try {
      set({ state: "uploading" });
      const sent = (share) => set(share < 1 ? { progress: UPLOAD * share } : { state: "listening", progress: null });
      await captions(job.file, asked.window, asked.key, { sent, heard: (line) => heard[line.type](line) });
      if (!job.end) throw new Error("The server broke off.");
      if (asked.tags) set({ tags: await tags(job.file, asked.key) });
      set({ state: "done", progress: 1 });
    } catch (error) {
      set({ state: "failed", error: error.message });
    }
  }

  return (job) => {
    waiting.push(job);
    changed(job);
    next();
  };
}
