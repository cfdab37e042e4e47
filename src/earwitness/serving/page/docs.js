// The API's own description, openapi.json, for people to read.

import { $, element, theme } from "./dom.js";

document.documentElement.dataset.theme = theme();
const api = await (await fetch("openapi.json")).json();

function row(name, field, required) {
  const kinds = (field.anyOf ?? [field]).map((one) => one.enum?.join(" | ") ?? one.format ?? one.type).filter((kind) => kind !== "null");
  const preset = required?.includes(name) ? "required" : field.default ?? "";
  return element("tr", {}, ...[name, kinds.join(", "), preset, field.description ?? ""].map((text, i) =>
    element(i ? "td" : "th", i ? { textContent: text } : { textContent: text, scope: "row" })));
}

function table(caption, head, rows) {
  const titles = head.map((text) => element("th", { textContent: text, scope: "col" }));
  return element("table", {}, element("caption", { textContent: caption }),
    element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...rows));
}

function operation(path, method, { description, requestBody, responses }) {
  const parts = [element("h2", { textContent: `${method.toUpperCase()} ${path}` }), element("p", { textContent: description })];
  const schema = requestBody?.content["multipart/form-data"].schema;
  if (schema) {
    const fields = Object.entries(schema.properties).map(([name, field]) => row(name, field, schema.required));
    parts.push(table("Form", ["field", "kind", "default", "what it is"], fields));
    parts.push(element("pre", { textContent: `curl -F file=@dog.wav ${new URL(path.slice(1), location.href)}` }));
  }
  const statuses = Object.entries(responses).map(([status, { description: said }]) =>
    element("tr", {}, element("th", { textContent: status, scope: "row" }), element("td", { textContent: said })));
  parts.push(table("Answers", ["status", "when"], statuses));
  return element("article", {}, ...parts);
}

for (const [path, methods] of Object.entries(api.paths))
  for (const [method, what] of Object.entries(methods)) $("api").append(operation(path, method, what));
