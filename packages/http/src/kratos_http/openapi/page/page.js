// The page for trying calls. It builds everything by nodes, so that no text of a definition or an
// answer is ever read as markup, and asks no server but its own.
"use strict";

const place = document.getElementById("api");
const address = new URL(place.dataset.document, location.href);
const texts = { int64: "0", uint64: "0", "date-time": "2000-01-01T00:00:00Z", duration: "1s" };
let api;

function node(name, options = {}, ...children) {
  const made = Object.assign(document.createElement(name), options);
  made.append(...children);
  return made;
}

// Follow a reference of the document.
function resolve(thing) {
  const path = thing?.$ref?.replace("#/", "").split("/");
  return path ? path.reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], api) : thing;
}

// Make an example of a schema; where it comes back to itself, it ends.
function example(schema, above = []) {
  const found = resolve(schema) ?? {};
  if (above.includes(found)) return null;
  const inner = [...above, found];
  const one = found.examples?.[0] ?? found.example ?? found.default ?? found.const ?? found.enum?.[0];
  if (one !== undefined) return one;
  const choice = found.allOf ?? found.oneOf ?? found.anyOf;
  if (choice) return example(choice.find((each) => each.type !== "null") ?? choice[0], inner);
  const type = [].concat(found.type ?? []).find((each) => each !== "null");
  if (type === "array") return [example(found.items, inner)];
  if (type === "object" || found.properties) {
    return Object.fromEntries(
      Object.entries(found.properties ?? {}).map(([name, field]) => [name, example(field, inner)]),
    );
  }
  if (type === "string") return texts[found.format] ?? (found.pattern ? null : "");
  return { boolean: false, integer: 0, number: 0 }[type] ?? null;
}

function describe(parameter) {
  const schema = resolve(parameter.schema) ?? {};
  const kind = [].concat(schema.type ?? []).join(" or ");
  const hint = [parameter.in, kind, schema.format, parameter.description].filter(Boolean).join(", ");
  return node("label", {}, node("b", { textContent: parameter.name }), " ", node("small", { textContent: hint }));
}

function field(parameter) {
  const schema = resolve(parameter.schema) ?? {};
  const many = [].concat(schema.type ?? []).includes("array");
  const input = schema.enum
    ? node("select", {}, node("option"), ...schema.enum.map((value) => node("option", { textContent: value })))
    : node("input", { required: parameter.required === true, placeholder: many ? "several: comma between them" : "" });
  const label = describe(parameter);
  label.append(input);
  return { parameter, many, input, label };
}

// Make the address of a call from what was filled in.
function target(path, fields) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { parameter, many, input } of fields) {
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query" && input.value !== "") {
      for (const value of many ? input.value.split(",") : [input.value]) query.append(parameter.name, value);
    }
  }
  const base = new URL(api.servers?.[0]?.url ?? "/", address);
  const url = new URL(base.pathname.replace(/\/$/, "") + filled, address);
  url.search = query;
  return url;
}

// Make the field of a body: a file where it is bytes, else text that begins as an example.
function bodyField(kind, schema) {
  const file = (resolve(schema) ?? {}).format === "binary";
  const input = file
    ? node("input", { type: "file" })
    : node("textarea", { value: JSON.stringify(example(schema), null, 2), spellcheck: false });
  const label = node("label", {}, node("b", { textContent: "body" }), " ", node("small", { textContent: kind }), input);
  const sent = () => {
    if (!file) return { body: input.value, type: kind };
    const [chosen] = input.files;
    return { body: chosen ?? "", type: kind.includes("*") ? chosen?.type || "application/octet-stream" : kind };
  };
  return { label, sent };
}

function dataUrl(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function show(response, output) {
  const kind = response.headers.get("content-type") ?? "";
  const lines = [`${response.status} ${response.statusText}`, kind, ""];
  output.textContent = lines.join("\n");
  if (kind.startsWith("text/event-stream")) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) output.append(piece.value);
    return;
  }
  if (kind.startsWith("image/")) {
    output.append(node("img", { alt: kind, src: await dataUrl(await response.blob()) }));
    return;
  }
  const text = await response.text();
  try {
    output.append(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    output.append(text);
  }
}

function operation(verb, path, about) {
  const fields = (about.parameters ?? []).map(resolve).map(field);
  const content = resolve(about.requestBody)?.content ?? {};
  const [kind] = Object.keys(content);
  // Of downloads, who takes events gets events.
  const accept = [...Object.keys(resolve(about.responses["200"])?.content ?? {}), "application/json"].join(", ");
  const body = kind ? bodyField(kind, content[kind].schema) : null;
  const output = node("pre", { hidden: true });
  const form = node("form", {}, ...fields.map((each) => each.label));
  if (body) form.append(body.label);
  form.append(node("button", { textContent: "Call" }), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    const request = { method: verb.toUpperCase(), headers: { accept } };
    if (body) {
      const sent = body.sent();
      request.body = sent.body;
      request.headers["content-type"] = sent.type;
    }
    try {
      await show(await fetch(target(path, fields), request), output);
    } catch (error) {
      output.textContent = `No answer: ${error.message}`;
    }
  });
  const line = node("summary", {}, node("span", { className: "verb", textContent: verb.toUpperCase() }), node("code", { textContent: path }), about.summary ?? "");
  if (about.deprecated) line.classList.add("deprecated");
  const text = node("p", { className: "about", textContent: about.description ?? "" });
  return node("details", { id: about.operationId ?? "" }, line, text, form);
}

async function main() {
  api = await (await fetch(address)).json();
  place.append(node("h1", { textContent: api.info.title }), node("p", { textContent: `${api.info.version} ${api.info.description ?? ""}` }));
  const groups = new Map((api.tags ?? []).map((tag) => [tag.name, node("section", {}, node("h2", { textContent: tag.name }), node("p", { textContent: tag.description ?? "" }))]));
  for (const [path, verbs] of Object.entries(api.paths ?? {})) {
    for (const [verb, about] of Object.entries(verbs)) {
      if (typeof about !== "object" || !about.responses) continue;
      const name = about.tags?.[0] ?? "";
      if (!groups.has(name)) groups.set(name, node("section", {}, node("h2", { textContent: name })));
      groups.get(name).append(operation(verb, path, about));
    }
  }
  place.append(...groups.values());
}

main().catch((error) => place.append(node("p", { className: "problem", textContent: `The description cannot be shown: ${error.message}` })));
