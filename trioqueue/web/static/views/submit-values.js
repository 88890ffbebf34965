// From what was typed to the arguments and options of a submit.

export class WrongField extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

const KINDS = { str: "text", int: "whole", float: "number", bool: "boolean" };

export function kindOf({ annotation = "", kind = "" }) {
  if (kind.startsWith("var_")) return "json";
  const plain = annotation.replaceAll("'", "").replace(/^(None \| )|( \| None)$/g, "");
  return KINDS[plain] ?? "json";
}

export function gather(type, options, control) {
  const body = { type: type.name, args: [], kwargs: {}, options: {} };
  let skipped = false; // after a positional that was left out, the others go by name
  for (const parameter of type.parameters) {
    const value = read(`parameter:${parameter.name}`, parameter, control);
    if (value === undefined) skipped = true;
    else place(body, parameter, value, skipped);
  }
  for (const option of options) {
    const value = read(`option:${option.name}`, option, control);
    if (value !== undefined) body.options[option.name] = value;
  }
  return body;
}

function place(body, { name, kind }, value, skipped) {
  if (kind === "var_positional") body.args.push(...value);
  else if (kind === "var_keyword") Object.assign(body.kwargs, value);
  else if (kind === "positional_only" || (kind === "positional_or_keyword" && !skipped)) body.args.push(value);
  else body.kwargs[name] = value;
}

// `undefined`: left out.
function read(field, parameter, control) {
  const text = control(field).value;
  const kind = kindOf(parameter);
  if (text.trim() === "") {
    if (parameter.required && kind === "text") return text;
    if (parameter.required) throw new WrongField(field, "A value is needed.");
    return undefined;
  }
  if (kind === "text") return text;
  if (kind === "boolean") return text === "true";
  if (kind === "whole" || kind === "number") return number(field, text, kind);
  return shaped(field, parameter, parsed(field, text));
}

function number(field, text, kind) {
  const value = Number(text);
  const fits = kind === "whole" ? /^\s*[-+]?\d+\s*$/.test(text) && Number.isSafeInteger(value) : Number.isFinite(value);
  if (!fits) throw new WrongField(field, kind === "whole" ? "A whole number is needed." : "A number is needed.");
  return value;
}

function parsed(field, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new WrongField(field, 'This is no JSON. Text is written in quotes: "like this".');
  }
}

function shaped(field, { kind }, value) {
  if (kind === "var_positional" && !Array.isArray(value)) throw new WrongField(field, "A list is needed: [1, 2].");
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if (kind === "var_keyword" && !isObject) throw new WrongField(field, 'An object is needed: {"name": 1}.');
  return value;
}
