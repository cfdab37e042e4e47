// The captions of the recording that is shown: a row for each, appended as it is found, and a lane over time.

import { $, element, minutes } from "./dom.js";

const READABLE = 88; // px of the lane below which neighbours share a place: "57 captions" in its letters

/** seek(seconds) plays from there. Returns {clear, append, place, follow}. */
export function captionRows(seek) {
  let rows = []; // {caption, row, group}
  let groups = []; // places of the lane: {first, last, button}
  let scale = 1; // seconds that the lane shows
  let current = -1;
  let width = 0; // px of the lane, measured when it is placed

  function clear() {
    [rows, groups, current] = [[], [], -1];
    $("captions").replaceChildren();
    $("lane").replaceChildren();
  }

  /** captions: those not shown yet. */
  function append(captions) {
    const shown = captions.map((caption) => {
      const row = listRow(caption, seek);
      rows.push({ caption, row });
      return row;
    });
    $("captions").append(...shown);
    const fresh = rows.slice(-captions.length).map(({ caption }, i) => group(caption, rows.length - captions.length + i));
    $("lane").append(...fresh.filter((button) => button));
  }

  /** Adds a caption to the lane; returns a new button if it needs one. */
  function group(caption, index) {
    const last = groups.at(-1);
    if (last && ((last.last.end - last.first.start) / scale) * width < READABLE) {
      Object.assign(last, { last: caption, count: last.count + 1 });
      rows[index].group = last;
      paint(last);
      return null;
    }
    const made = { first: caption, last: caption, count: 1, button: element("button", { type: "button" }) };
    made.button.onclick = () => seek(made.first.start);
    made.button.tabIndex = -1; // the list below has the same captions, in order
    rows[index].group = made;
    groups.push(made);
    paint(made);
    return made.button;
  }

  function paint({ first, last, count, button }) {
    const text = count === 1 ? first.caption : `${count} captions`;
    button.textContent = text;
    button.title = count === 1 ? text : `${text}, ${minutes(first.start)}–${minutes(last.end)}: ${first.caption} …`;
    button.dataset.kind = count === 1 ? first.kind : "several";
    button.style.left = share(first.start);
    button.style.width = `calc(${share(last.end - first.start)} - 1px)`;
  }

  const share = (time) => `${(100 * Math.min(1, time / scale)).toFixed(3)}%`;

  /** Lays the lane out anew, for another length or width. */
  function place(seconds) {
    scale = seconds;
    width = $("lane").clientWidth;
    groups = [];
    $("lane").replaceChildren(...rows.map(({ caption }, i) => group(caption, i)).filter((button) => button));
    if (current >= 0) mark(current, "true");
  }

  /** Marks the caption at a time; scroll: also brings it into view. */
  function follow(time, scroll) {
    const found = at(time);
    if (found === current) return;
    if (current >= 0) mark(current, "false");
    current = found;
    if (current < 0) return;
    mark(current, "true");
    if (scroll) intoView(rows[current].row);
  }

  function mark(index, value) {
    rows[index]?.row.setAttribute("aria-current", value);
    rows[index]?.group?.button.setAttribute("aria-current", value);
  }

  /** Index of the caption at a time (they are in order), -1 if there is none. */
  function at(time) {
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].caption.start <= time) low = middle + 1;
      else high = middle;
    }
    return low && time < rows[low - 1].caption.end ? low - 1 : -1;
  }

  return { clear, append, place, follow };
}

/** Scrolls the list of captions alone, not the page. */
function intoView(row) {
  const list = $("captions");
  const above = row.offsetTop - list.scrollTop, below = above + row.offsetHeight - list.clientHeight;
  if (above < 0) list.scrollTop += above;
  else if (below > 0) list.scrollTop += below;
}

function listRow(caption, seek) {
  const span = `${minutes(caption.start)}–${minutes(caption.end)}`;
  const time = element("button", { className: "time", type: "button", textContent: span, onclick: () => seek(caption.start) });
  time.setAttribute("aria-label", `Play ${span}`);
  const text = element("p", { className: "text", textContent: caption.caption, contentEditable: "plaintext-only", spellcheck: true });
  text.setAttribute("role", "textbox");
  text.setAttribute("aria-label", `Caption at ${minutes(caption.start)}`);
  text.onkeydown = (event) => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); text.blur(); } };
  text.oninput = () => { caption.caption = text.textContent.replace(/\s+/g, " ").trim(); };
  const sure = element("span", { className: "sure", textContent: caption.sureness, title: `score ${caption.score.toFixed(2)}` });
  const tags = element("span", { className: "tags", textContent: caption.tags.map(([name, p]) => `${name} ${p.toFixed(2)}`).join(" · ") });
  const row = element("li", {}, time, text, sure, tags);
  row.dataset.sure = caption.sureness;
  return row;
}
