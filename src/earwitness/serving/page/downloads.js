// Captions as files. The texts of subtitles are those of the server's own formats.

const clock = (seconds, point) => {
  const ms = Math.round(seconds * 1000);
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${two(ms / 3600000)}:${two((ms / 60000) % 60)}:${two((ms / 1000) % 60)}${point}${String(ms % 1000).padStart(3, "0")}`;
};
const times = (caption, point) => `${clock(caption.start, point)} --> ${clock(caption.end, point)}`;
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export const FORMATS = {
  srt: { type: "application/x-subrip", write: (job) => job.captions.map((c, i) => `${i + 1}\n${times(c, ",")}\n${c.caption.replaceAll("-->", "→")}\n\n`).join("") },
  vtt: { type: "text/vtt", write: (job) => "WEBVTT\n" + job.captions.map((c) => `\n${times(c, ".")}\n${escaped(c.caption)}\n`).join("") },
  json: { type: "application/json", write: (job) => JSON.stringify(told(job), null, 1) + "\n" },
};

/** What is known of a recording, as the server's JSON says it. */
export const told = (job) => ({ file: job.file.name, ...job.end, captions: job.captions, tags: job.tags });

/** "dog.wav" -> "dog.srt" */
export const renamed = (name, suffix) => `${name.replace(/\.[^.]*$/, "")}.${suffix}`;

export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
