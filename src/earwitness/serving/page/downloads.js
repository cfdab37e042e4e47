// Captions as files. The texts of subtitles are those of the server's own formats.

import { minutes } from "./dom.js";

const clock = (seconds, point) => {
  const ms = Math.round(seconds * 1000);
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${two(ms / 3600000)}:${two((ms / 60000) % 60)}:${two((ms / 1000) % 60)}${point}${String(ms % 1000).padStart(3, "0")}`;
};
const times = (caption, point) => `${clock(caption.start, point)} --> ${clock(caption.end, point)}`;
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
// A cell that a spreadsheet would take for a formula is a text.
const cell = (value) => `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;

/** A line a caption: "0:00.0–0:04.2<tab>a dog barks". */
export const text = (job) => job.captions.map((c) => `${minutes(c.start)}–${minutes(c.end)}\t${c.caption}\n`).join("");

export const FORMATS = {
  srt: { type: "application/x-subrip", write: (job) => job.captions.map((c, i) => `${i + 1}\n${times(c, ",")}\n${c.caption.replaceAll("-->", "→")}\n\n`).join("") },
  vtt: { type: "text/vtt", write: (job) => "WEBVTT\n" + job.captions.map((c) => `\n${times(c, ".")}\n${escaped(c.caption)}\n`).join("") },
  txt: { type: "text/plain", write: text },
  csv: { type: "text/csv", write: (job) => "start,end,caption,score,tags\r\n" + job.captions.map((c) =>
    `${c.start},${c.end},${cell(c.caption)},${c.score},${cell(c.tags.map(([name]) => name).join("; "))}\r\n`).join("") },
  json: { type: "application/json", write: (job) => JSON.stringify(found(job), null, 1) + "\n" },
};

export const isPartial = (job) => job.state !== "done";

/** What is known of a recording, in the form of the server's JSON. */
export const found = (job) => ({
  file: job.name, ...job.end, ...(isPartial(job) ? { partial: true, error: job.error || "still captioning" } : {}),
  captions: job.captions, tags: job.tags,
});

/** "dog.wav" -> "dog.srt", "dog.partial.srt" */
export const renamed = (job, suffix) => `${job.name.replace(/\.[^.]*$/, "")}${isPartial(job) ? ".partial" : ""}.${suffix}`;

export function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
