// One recording: player, pictures, captions in time, all moving together.

import { captionRows } from "./captions.js";
import { $, element, minutes } from "./dom.js";
import { clear, drawSpectrogram, drawStrip, drawWaveform, ticks } from "./pictures.js";
import { decode, secondsOf } from "./sound.js";

const MOST_TAGS = 8;

let job = null;
let player = null;
let pending = []; // captions to be shown with the next picture
let placed = 0; // seconds that the lane and the axis show
const rows = captionRows(seek);

/** Seconds that are shown: the recording's, or, while nobody knows, more than there are captions for. */
function seconds() {
  if (job.length) return job.length;
  const known = job.captions.at(-1)?.end ?? 1;
  return known <= placed ? placed : 2 * known;
}

export const shown = () => job;

/** Shows another recording, with nothing of the last one left. */
export function open(chosen) {
  player?.pause();
  job = chosen;
  placed = 0;
  pending = [];
  $("recording").hidden = false;
  $("title").textContent = job.name;
  ["waveform", "spectrogram"].forEach((id) => clear($(id)));
  note("");
  play();
  rows.clear();
  rows.append(job.captions);
  status();
  layout();
  draw();
}

export function close() {
  player?.pause();
  job = null;
  $("recording").hidden = true;
}

function play() {
  player = element(job.isVideo ? "video" : "audio", { controls: true, preload: "metadata" });
  if (job.media) player.src = job.media;
  else note("This recording was fetched by the server, so it cannot be played here.");
  player.setAttribute("aria-label", `Player of ${job.name}`);
  player.onerror = () => note("Your browser cannot play this format; its captions are here all the same.");
  player.onloadedmetadata = () => player.classList.toggle("unseeable", player.videoWidth === 0);
  player.ontimeupdate = player.onseeked = move;
  player.onplay = () => requestAnimationFrame(follow);
  $("player").replaceChildren(player);
}

/** Shows one more caption, together with those of the same moment. */
export function added(caption) {
  pending.push(caption);
  if (pending.length === 1) requestAnimationFrame(flush);
}

function flush() {
  const captions = pending;
  pending = [];
  if (!job || !captions.length) return;
  if (seconds() !== placed) layout();
  rows.append(captions);
  status();
}

/** The line under the title, and which downloads there are. */
export function status() {
  const { end } = job;
  const cut = end?.damaged ? `, damaged: ${(end.faults ?? []).join("; ") || `${Math.round(100 * end.covered)} % could be decoded`}` : "";
  const partial = job.state === "partial" || job.state === "cancelled" ? `Partial: ${job.error} ` : "";
  $("summary").textContent = partial + (end ? `${minutes(end.duration)}, captioned by ${end.model}${cut}` : "");
  const none = !job.captions.length;
  for (const button of $("downloads").querySelectorAll("button")) if (button.disabled !== none) button.disabled = none;
}

/** Everything that depends on the length or the width. */
export function layout() {
  placed = seconds();
  rows.place(placed);
  $("axis").replaceChildren(...ticks(placed, $("axis").clientWidth).map((time) => {
    const mark = element("span", { textContent: minutes(time, time % 1 ? 1 : 0) });
    mark.style.left = `${(100 * time) / placed}%`;
    return mark;
  }));
  strips();
  move();
}

/** Starts again, for a recording that is captioned anew. */
export function emptied() {
  pending = [];
  rows.clear();
  layout();
  status();
}

function seek(time) {
  player.currentTime = time + 0.001; // within the caption, not at the end of the one before
  player.play().catch(() => {}); // what cannot be played can still be read
  move();
}

function strips() {
  const names = job.tags?.names.slice(0, MOST_TAGS) ?? [];
  $("tags").replaceChildren(...names.map((name, i) => {
    const track = job.tags.probabilities.map((row) => row[i]);
    const peak = track.reduce((a, b) => Math.max(a, b), 0), at = job.tags.windows[track.indexOf(peak)][0];
    const canvas = element("canvas", { onclick: seekAt });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}: at most ${peak.toFixed(2)}, at ${minutes(at)}`);
    return element("div", { className: "tag" }, element("span", { textContent: name, title: name }), canvas, element("output"));
  }));
  $("tags").querySelectorAll("canvas").forEach((canvas, i) =>
    drawStrip(canvas, job.tags.windows, job.tags.probabilities.map((row) => row[i]), placed));
}

/** The pictures, for the width and the colours there are now. */
export async function draw() {
  const drawn = job;
  if (!drawn.file) return pictures(true);
  try {
    drawn.samples ??= decode(drawn.file, drawn.seconds ?? 0);
    const samples = await drawn.samples;
    if (drawn !== job) return; // another one was opened meanwhile
    if (!drawn.seconds) { drawn.seconds = secondsOf(samples); layout(); }
    pictures(false);
    drawWaveform($("waveform"), samples);
    drawSpectrogram($("spectrogram"), samples);
  } catch (error) {
    if (drawn !== job) return;
    pictures(true);
    note(error.message);
  }
}

function pictures(hidden) {
  for (const id of ["waveform", "spectrogram"]) {
    $(id).hidden = hidden;
    $(id).setAttribute("aria-label", `${id === "waveform" ? "Waveform" : "Spectrogram"} of ${job.name}`);
  }
}

function note(text) {
  $("picture-note").textContent = text;
  $("picture-note").hidden = !text;
}

function seekAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * placed);
}

/** Playhead, current caption and tag probabilities, to where the player is. */
function move() {
  if (!job) return;
  const time = player.currentTime, left = $("axis").offsetLeft;
  $("playhead").style.left = `${left + Math.min(1, time / placed) * ($("score").clientWidth - left)}px`;
  rows.follow(time, !player.paused);
  const at = job.tags?.windows.findIndex(([start, end]) => time >= start && time < end) ?? -1;
  $("tags").querySelectorAll("output").forEach((output, i) =>
    (output.textContent = at < 0 ? "" : job.tags.probabilities[at][i].toFixed(2)));
}

function follow() {
  move();
  if (!player.paused) requestAnimationFrame(follow);
}

for (const id of ["waveform", "spectrogram"]) $(id).onclick = seekAt;
