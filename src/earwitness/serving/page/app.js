// The page: what is dropped, chosen, recorded or named goes into the queue; what is chosen there is shown.

import { $, complain, element, forgive, say, theme } from "./dom.js";
import { FORMATS, found, renamed, save, text } from "./downloads.js";
import { Job, queue } from "./jobs.js";
import { list, stateOf } from "./list.js";
import { added, close, draw, emptied, layout, open, shown, status } from "./recording.js";
import { recorder } from "./recorder.js";
import { health } from "./server.js";

const NARROW = matchMedia("(max-width: 60rem)");
const jobs = [];
let server = { tags: true, max_window: 20, max_minutes: 60 };

const rows = list({
  choose: (job) => { choose(job); if (NARROW.matches) reveal(); },
  retry: (job) => work.retry(job),
  cancel: (job) => work.cancel(job),
  remove,
});
const settings = () => ({
  window: String(Math.min(Number($("detail").value), server.max_window)), key: $("key").value, tags: server.tags,
});
const work = queue(settings, {
  state: changed,
  progress: rows.progress,
  caption: (job, caption) => {
    if (job.captions.length === 1) rows.first(job);
    if (job === shown()) added(caption);
  },
  found: (job) => { if (job === shown()) { status(); layout(); } },
});

function take(fresh) {
  forgive();
  for (const job of fresh) {
    rows.add(job);
    jobs.push(job);
    measure(job);
    work.add(job);
  }
  if (!fresh.length) return;
  const idle = !shown() || shown().finished;
  if (idle) choose(fresh[0]);
  if (idle && NARROW.matches) reveal();
  count();
}
const files = (chosen) => take([...chosen].map((file) => new Job(file)));

/** How long the recording is, if the browser knows. */
function measure(job) {
  if (!job.media) return;
  const media = element(job.isVideo ? "video" : "audio", { preload: "metadata", src: job.media });
  media.onloadedmetadata = () => {
    if (!Number.isFinite(media.duration)) return;
    job.seconds = media.duration;
    if (job === shown()) layout();
  };
}

function choose(job) {
  rows.current(job);
  open(job);
}

const reveal = () => $("recording").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion)").matches ? "auto" : "smooth" });

function changed(job) {
  rows.state(job);
  if (job === shown()) {
    if (job.state === "sending") emptied();
    else status();
  }
  if (job.state === "failed" || job.state === "partial") complain(`${job.name}: ${job.error}`);
  if (job.state === "done") say(`${job.name}: ${stateOf(job)}. ${job.captions[0].caption}`);
  count();
}

function count() {
  const done = jobs.filter((job) => job.state === "done").length;
  $("batch").hidden = jobs.length < 2;
  $("batch-state").textContent = `${done} of ${jobs.length} captioned`;
  $("all").disabled = !jobs.some((job) => job.captions.length);
  $("clear").disabled = !jobs.some((job) => job.finished);
  $("examples").hidden = $("sample").hidden = jobs.length > 0;
}

function remove(job) {
  const place = jobs.indexOf(job);
  jobs.splice(place, 1);
  rows.remove(job);
  if (job.media) URL.revokeObjectURL(job.media);
  if (job === shown()) {
    const next = jobs[Math.min(place, jobs.length - 1)];
    if (next) choose(next);
    else close();
  }
  ($("jobs").querySelectorAll(".pick")[Math.min(place, jobs.length - 1)] ?? $("files")).focus();
  count();
}

$("files").onchange = (event) => {
  files(event.target.files);
  event.target.value = "";
};

const drop = $("drop");
document.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
document.ondragleave = (event) => { if (!event.relatedTarget) drop.classList.remove("over"); };
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  files(event.dataTransfer.files);
};

for (const button of document.querySelectorAll("[data-example]")) {
  const name = button.dataset.example;
  button.onclick = async () => {
    try {
      const sound = await fetch(name);
      if (!sound.ok) throw new Error(sound.status);
      files([new File([await sound.blob()], name, { type: "audio/ogg" })]);
    } catch {
      complain(`${name} cannot be loaded from the server.`);
    }
  };
}

$("from-url").onsubmit = (event) => {
  event.preventDefault();
  take([new Job(null, $("url").value)]);
  $("url").value = "";
};

const microphone = recorder({ most: () => 60 * server.max_minutes, done: (file) => files([file]), failed: complain });

for (const button of document.querySelectorAll("[data-format]")) {
  const { type, write } = FORMATS[button.dataset.format];
  button.onclick = () => save(renamed(shown(), button.dataset.format), type, write(shown()));
}
$("all").onclick = () => {
  const some = jobs.filter((job) => job.captions.length);
  save("captions.json", FORMATS.json.type, JSON.stringify(some.map(found), null, 1) + "\n");
};
$("clear").onclick = () => jobs.filter((job) => job.finished).forEach(remove);
$("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(text(shown()));
    say("Copied");
  } catch {
    complain("The browser does not let this page copy; download the captions instead.");
  }
};

$("errors").querySelector("button").onclick = forgive;
window.onbeforeunload = (event) => {
  if (microphone.active || jobs.some((job) => !job.finished)) event.preventDefault();
};

function paint() {
  document.documentElement.dataset.theme = theme();
  $("theme").setAttribute("aria-pressed", String(theme() === "dark"));
  if (shown()) { layout(); draw(); }
}
$("theme").onclick = () => {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  paint();
};
paint();

let redraw;
let width = document.body.clientWidth;
new ResizeObserver(() => {
  if (document.body.clientWidth === width) return; // it only grew longer
  width = document.body.clientWidth;
  clearTimeout(redraw);
  redraw = setTimeout(() => { if (shown()) { layout(); draw(); } }, 150);
}).observe(document.body);

$("key").value = sessionStorage.getItem("key") ?? "";
$("key").onchange = () => sessionStorage.setItem("key", $("key").value);

try {
  server = await health();
  $("limits").textContent = `Up to ${server.max_upload_mb} MB and ${server.max_minutes} minutes each. Nothing is kept.`;
  $("key-field").hidden = !server.needs_key;
  $("from-url").hidden = !server.takes_urls;
} catch {
  complain("The server cannot be reached.");
}
