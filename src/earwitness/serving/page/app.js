// The page: what is dropped, chosen or recorded goes into the queue; what is chosen there is shown.

import { $, element, minutes, theme } from "./dom.js";
import { FORMATS, renamed, save, told } from "./downloads.js";
import { Job, queue } from "./jobs.js";
import { draw, open, update } from "./recording.js";
import { recorder } from "./recorder.js";
import { health } from "./server.js";

const jobs = [];
let chosen = null;
let server = { tags: true };

const STATES = {
  waiting: () => "waiting",
  uploading: () => "uploading",
  listening: () => "listening",
  done: (job) => `${job.captions.length} caption${job.captions.length === 1 ? "" : "s"}, ${minutes(job.end.duration)}`,
  failed: (job) => job.error,
};

const add = queue(changed, () => ({ window: $("window").value, key: $("key").value, tags: server.tags }));

function take(files) {
  $("error").textContent = "";
  for (const file of files) {
    const job = new Job(file);
    job.button = element("button", { type: "button", onclick: () => choose(job) });
    $("jobs").append(element("li", {}, job.button));
    jobs.push(job);
    measure(job);
    add(job);
  }
  if (files.length && (!chosen || chosen.finished)) choose(jobs.at(-files.length));
}

/** How long the recording is, if the browser knows. */
function measure(job) {
  const media = element(job.file.type.startsWith("video/") ? "video" : "audio", { preload: "metadata", src: job.url });
  media.onloadedmetadata = () => { if (Number.isFinite(media.duration)) job.seconds = media.duration; };
}

function choose(job) {
  chosen = job;
  for (const other of jobs) other.button.setAttribute("aria-current", String(other === job));
  open(job);
}

function changed(job) {
  const state = element("span", { className: `quiet ${job.state}`, textContent: STATES[job.state](job) });
  job.button.replaceChildren(element("span", { className: "name", textContent: job.file.name }), state);
  if (!job.finished && job.state !== "waiting") {
    const bar = element("progress", { max: 1 });
    if (job.progress !== null) bar.value = job.progress;
    bar.setAttribute("aria-label", `Progress of ${job.file.name}`);
    job.button.append(bar);
  }
  if (job === chosen) update();
  if (job.finished) tell(job);
}

function tell(job) {
  if (job.state === "failed") $("error").textContent = `${job.file.name}: ${job.error}`;
  else say(`${job.file.name}: ${STATES.done(job)}. ${job.captions[0].caption}`);
  const done = jobs.filter((other) => other.state === "done").length;
  $("batch").hidden = jobs.length < 2;
  $("batch-state").textContent = `${done} of ${jobs.length} captioned`;
  $("all").disabled = !done;
}

function say(text) {
  $("news").textContent = text;
  setTimeout(() => { if ($("news").textContent === text) $("news").textContent = ""; }, 6000);
}

$("files").onchange = (event) => {
  take([...event.target.files]);
  event.target.value = "";
};

const drop = $("drop");
document.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
document.ondragleave = (event) => { if (!event.relatedTarget) drop.classList.remove("over"); };
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take([...event.dataTransfer.files]);
};

function recording(on) {
  $("record").setAttribute("aria-pressed", String(on));
  $("record").textContent = on ? "Stop" : "Record";
}
$("record").onclick = recorder({
  started: () => { recording(true); say("Recording"); },
  done: (file) => { recording(false); take([file]); },
  failed: (message) => { $("error").textContent = message; },
});

for (const button of document.querySelectorAll("[data-format]")) {
  const { type, write } = FORMATS[button.dataset.format];
  button.onclick = () => save(renamed(chosen.file.name, button.dataset.format), type, write(chosen));
}
$("all").onclick = () => {
  const done = jobs.filter((job) => job.state === "done");
  save("captions.json", FORMATS.json.type, JSON.stringify(done.map(told), null, 1) + "\n");
};
$("copy").onclick = async () => {
  const lines = chosen.captions.map((c) => `${minutes(c.start)}–${minutes(c.end)}\t${c.caption}`);
  try {
    await navigator.clipboard.writeText(lines.join("\n") + "\n");
    say("Copied");
  } catch {
    $("error").textContent = "The browser does not let this page copy; download the captions instead.";
  }
};

function paint() {
  document.documentElement.dataset.theme = theme();
  $("theme").setAttribute("aria-pressed", String(theme() === "dark"));
  if (chosen) draw();
}
$("theme").onclick = () => {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  paint();
};
paint();

let redraw;
new ResizeObserver(() => {
  clearTimeout(redraw);
  redraw = setTimeout(() => { if (chosen) { update(); draw(); } }, 150);
}).observe(document.body);

$("key").value = sessionStorage.getItem("key") ?? "";
$("key").onchange = () => sessionStorage.setItem("key", $("key").value);

try {
  server = await health();
  $("limits").textContent = `Up to ${server.max_upload_mb} MB and ${server.max_minutes} minutes each. Nothing is kept.`;
  $("key-field").hidden = !server.needs_key;
} catch {
  $("error").textContent = "The server cannot be reached.";
}
