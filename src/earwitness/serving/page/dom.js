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
