// One recording: player, pictures, captions in time, all moving together.

import { $, element, minutes } from "./dom.js";
import { drawSpectrogram, drawStrip, drawWaveform, ticks } from "./pictures.js";
import { decode, secondsOf } from "./sound.js";

const MOST_TAGS = 8;

let job = null;
let player = null;
let shown = []; // [caption, its button in the lane, its button in the list]

const seconds = () => job.end?.duration ?? job.seconds ?? job.captions.at(-1)?.end ?? 1;

/** Shows another recording. */
export function open(chosen) {
  job = chosen;
  $("recording").hidden = false;
  $("title").textContent = job.file.name;
  const video = job.file.type.startsWith("video/");
  player = element(video ? "video" : "audio", { src: job.url, controls: true, preload: "metadata" });
  player.setAttribute("aria-label", `Player of ${job.file.name}`);
  player.onerror = () => note("Your browser cannot play this format; its captions are here all the same.");
  player.onloadedmetadata = () => player.classList.toggle("unseeable", player.videoWidth === 0);
  player.ontimeupdate = player.onseeked = move;
  player.onplay = () => requestAnimationFrame(follow);
  $("player").replaceChildren(player);
  note("");
  update();
  draw();
}

/** Shows what has become known of it. */
export function update() {
  const { end } = job;
  const cut = end?.damaged ? `, damaged: ${Math.round(100 * end.covered)} % could be heard` : "";
  $("summary").textContent = end ? `${minutes(end.duration)} heard by ${end.model}${cut}` : "";
  document.querySelectorAll("#captions-head button").forEach((button) => (button.disabled = !end));
  const rows = job.captions.map((caption) => [caption, laneButton(caption), listButton(caption)]);
  shown = rows;
  $("lane").replaceChildren(...rows.map((row) => row[1]));
  $("captions").replaceChildren(...rows.map((row) => element("li", {}, row[2])));
  $("axis").replaceChildren(...ticks(seconds(), $("axis").clientWidth).map((time) => {
    const mark = element("span", { textContent: minutes(time, time % 1 ? 1 : 0) });
    mark.style.left = share(time);
    return mark;
  }));
  strips();
  move();
}

const share = (time) => `${(100 * Math.min(1, time / seconds())).toFixed(3)}%`;

function seek(time) {
  player.currentTime = time + 0.001; // within the caption, not at the end of the one before
  player.play().catch(() => {}); // what cannot be played can still be read
  move();
}

function laneButton(caption) {
  const button = element("button", { type: "button", textContent: caption.caption, title: caption.caption, onclick: () => seek(caption.start) });
  button.dataset.kind = caption.kind;
  button.style.left = share(caption.start);
  button.style.width = `calc(${share(caption.end - caption.start)} - 1px)`;
  button.tabIndex = -1; // the list below has the same buttons, in order
  return button;
}

function listButton(caption) {
  return element("button", { type: "button", onclick: () => seek(caption.start) },
    element("span", { className: "time", textContent: `${minutes(caption.start)}–${minutes(caption.end)}` }),
    element("span", { className: "text", textContent: caption.caption }),
    element("span", { className: "sure", textContent: caption.score.toFixed(2), title: "the model's own probability for each word piece" }),
    element("span", { className: "tags", textContent: caption.tags.map(([name, p]) => `${name} ${p.toFixed(2)}`).join(" · ") }));
}

function strips() {
  const names = job.tags?.names.slice(0, MOST_TAGS) ?? [];
  $("tags").replaceChildren(...names.map((name, i) => {
    const track = job.tags.probabilities.map((row) => row[i]);
    const peak = Math.max(...track), at = job.tags.windows[track.indexOf(peak)][0];
    const canvas = element("canvas", { onclick: seekAt });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}: at most ${peak.toFixed(2)}, at ${minutes(at)}`);
    return element("div", { className: "tag" }, element("span", { textContent: name, title: name }), canvas, element("output"));
  }));
  $("tags").querySelectorAll("canvas").forEach((canvas, i) =>
    drawStrip(canvas, job.tags.windows, job.tags.probabilities.map((row) => row[i]), seconds()));
}

/** The pictures, for the width and the colours there are now. */
export async function draw() {
  const drawn = job;
  try {
    drawn.samples ??= decode(drawn.file, drawn.seconds ?? 0);
    const samples = await drawn.samples;
    if (drawn !== job) return; // another one was opened meanwhile
    if (!drawn.seconds) { drawn.seconds = secondsOf(samples); update(); }
    pictures(false);
    drawWaveform($("waveform"), samples);
    drawSpectrogram($("spectrogram"), samples);
  } catch (error) {
    if (drawn !== job) return;
    pictures(true);
    note(error.message);
  }
  strips();
}

function pictures(hidden) {
  for (const id of ["waveform", "spectrogram"]) {
    $(id).hidden = hidden;
    $(id).setAttribute("aria-label", `${id === "waveform" ? "Waveform" : "Spectrogram"} of ${job.file.name}`);
  }
}

function note(text) {
  $("picture-note").textContent = text;
  $("picture-note").hidden = !text;
}

function seekAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * seconds());
}

/** Playhead, current caption and tag probabilities, to where the player is. */
function move() {
  const time = player.currentTime;
  const score = $("score"), left = $("axis").offsetLeft;
  $("playhead").style.left = `${left + Math.min(1, time / seconds()) * (score.clientWidth - left)}px`;
  for (const [caption, ...buttons] of shown) {
    const current = String(time >= caption.start && time < caption.end);
    for (const button of buttons) {
      if (button.getAttribute("aria-current") === current) continue;
      button.setAttribute("aria-current", current);
      if (current === "true" && !player.paused) button.scrollIntoView({ block: "nearest" });
    }
  }
  const at = job.tags?.windows.findIndex(([start, end]) => time >= start && time < end) ?? -1;
  document.querySelectorAll("#tags output").forEach((output, i) =>
    (output.textContent = at < 0 ? "" : job.tags.probabilities[at][i].toFixed(2)));
}

function follow() {
  move();
  if (!player.paused) requestAnimationFrame(follow);
}

for (const id of ["waveform", "spectrogram"]) $(id).onclick = seekAt;
