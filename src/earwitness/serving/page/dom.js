// What every part of the page uses.

export const $ = (id) => document.getElementById(id);

/** A new element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** 65.25 -> "1:05.3" */
export const minutes = (seconds, digits = 1) => {
  const rounded = Number(seconds.toFixed(digits)), whole = Math.floor(rounded / 60);
  return `${whole}:${(rounded - 60 * whole).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
};

/** The theme that was chosen before, or the system's. */
export const theme = () =>
  localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

/** Says something once, to screen readers too. */
export function say(text) {
  $("news").textContent = text;
  setTimeout(() => { if ($("news").textContent === text) $("news").textContent = ""; }, 6000);
}

/** Adds to the list of problems, which is announced and stays until it is closed. */
export function complain(text) {
  const list = $("errors").querySelector("ul");
  if ([...list.children].some((item) => item.textContent === text)) return;
  list.append(element("li", { textContent: text }));
  $("errors").hidden = false;
}

export function forgive() {
  $("errors").querySelector("ul").replaceChildren();
  $("errors").hidden = true;
}

/** An element with a name that is shortened in its middle where it is too long: its end tells files apart. */
export function shortened(name) {
  const tail = name.length > 24 ? 12 : 0;
  const shown = element("span", { className: "name", title: name }, element("span", { textContent: name.slice(0, name.length - tail) }));
  if (tail) shown.append(element("span", { className: "tail", textContent: name.slice(-tail) }));
  return shown;
}
