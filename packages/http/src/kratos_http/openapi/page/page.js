// The page for trying calls. It builds everything by nodes, so that no text of a definition or an
// answer is ever read as markup, and asks no server but its own.
"use strict";

const place = document.getElementById("api");
const address = new URL(place.dataset.document, location.href);
const texts = { int64: "0", uint64: "0", "date-time": "2000-01-01T00:00:00Z", duration: "1s" };
const mostKept = 64 * 1024 * 1024; // bytes of a download
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

// Make a field for each part of a form: files where they are bytes, and several where it is a list.
function formPart(name, schema, encoding) {
  const found = resolve(schema) ?? {};
  const many = [].concat(found.type ?? []).includes("array");
  const file = ((many ? resolve(found.items) : found) ?? {}).format === "binary";
  const json = encoding?.contentType === "application/json";
  const hint = file ? "file" : json ? "JSON" : "text";
  const input = file
    ? node("input", { type: "file", multiple: many })
    : node(json ? "textarea" : "input", { placeholder: many && !json ? "several: comma between them" : "" });
  input.name = name;
  const label = node("label", {}, node("b", { textContent: name }), " ", node("small", { textContent: hint }), input);
  const values = () => {
    if (file) return [...input.files];
    if (input.value === "") return [];
    if (json) return [new Blob([input.value], { type: "application/json" })];
    return many ? input.value.split(",") : [input.value];
  };
  return { name, label, values };
}

function formFields(kind, content, fields) {
  const asked = new Set(fields.map((each) => each.parameter.name)); // in the path, which goes over the form
  const properties = Object.entries(resolve(content.schema)?.properties ?? {}).filter(([name]) => !asked.has(name));
  const parts = properties.map(([name, schema]) => formPart(name, schema, content.encoding?.[name]));
  const label = node("fieldset", {}, node("legend", { textContent: kind }), ...parts.map((each) => each.label));
  const sent = () => {
    const body = new FormData();
    for (const { name, values } of parts) for (const value of values()) body.append(name, value);
    return { body }; // the browser says the type, which has the boundary
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

// Keep a download as it comes, and offer to save it.
async function save(response, kind, output) {
  const reader = response.body.getReader();
  const progress = node("span");
  output.append(progress);
  const pieces = [];
  let size = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value);
    size += piece.value.length;
    progress.textContent = `${size} bytes`;
    if (size > mostKept) {
      await reader.cancel();
      progress.textContent = `More than ${mostKept} bytes: this page keeps no more.`;
      return;
    }
  }
  if (size === 0) return;
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "download";
  const href = URL.createObjectURL(new Blob(pieces, { type: kind }));
  output.append(" ", node("a", { href, download: name, textContent: `Save as ${name}` }));
}

async function showText(response, output) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) output.append(piece.value);
}

async function show(response, output) {
  const kind = response.headers.get("content-type") ?? "";
  const lines = [`${response.status} ${response.statusText}`, kind, ""];
  output.textContent = lines.join("\n");
  if (response.body && kind.startsWith("text/")) return showText(response, output);
  if (kind.startsWith("image/")) {
    output.append(node("img", { alt: kind, src: await dataUrl(await response.blob()) }));
    return;
  }
  if (response.body && kind && !/json|xml|yaml/.test(kind)) return save(response, kind, output);
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
  const isForm = kind === "multipart/form-data";
  const body = !kind ? null : isForm ? formFields(kind, content[kind], fields) : bodyField(kind, content[kind].schema);
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
      if (sent.type) request.headers["content-type"] = sent.type;
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
