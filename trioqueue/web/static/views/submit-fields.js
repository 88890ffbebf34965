import { html } from "../lib/dom.js";
import { kindOf } from "./submit-values.js";

export const OPTIONS = [
  { name: "queue", label: "Queue", annotation: "str", hint: "as its type says" },
  { name: "delay", label: "Delay in seconds", annotation: "float", hint: "starts at once" },
  { name: "priority", label: "Priority", annotation: "int", hint: "0 to 255, higher first" },
  { name: "timeout", label: "Timeout in seconds", annotation: "float", hint: "as its type says" },
  { name: "expires", label: "Expires after seconds", annotation: "float", hint: "unless started by then" },
  { name: "key", label: "Key", annotation: "str", hint: "one live task per key" },
  { name: "id", label: "Id", annotation: "str", hint: "made up" },
  { name: "headers", label: "Headers", annotation: "dict[str, str]", hint: "{\"name\": \"value\"}" },
];

export function Field({ name, label, parameter, wrong }) {
  const kind = kindOf(parameter);
  const id = `field-${name}`;
  const common = { id, name, "aria-invalid": wrong ? "true" : null, "aria-describedby": `${id}-says` };
  return html`<div class=${`form-field ${wrong ? "bad" : ""}`}>
    <label for=${id}><span class=${parameter.label ? "" : "mono"}>${label}</span>
      <span class="soft">${parameter.label ? "" : parameter.annotation || "any value"}</span></label>
    ${control(kind, parameter, common)}
    <p class="says" id=${`${id}-says`} role=${wrong ? "alert" : null}>${wrong ?? says(kind, parameter)}</p>
  </div>`;
}

function control(kind, parameter, common) {
  const placeholder = parameter.hint ?? parameter.default ?? "";
  if (kind === "boolean") return html`<select ...${common}>
    ${!parameter.required && html`<option value="">${placeholder ? `default: ${placeholder}` : "default"}</option>`}
    <option value="true">true</option><option value="false">false</option></select>`;
  if (kind === "text") return html`<input type="text" ...${common} placeholder=${placeholder} autocomplete="off" spellcheck="false" />`;
  if (kind === "number" || kind === "whole") return html`<input type="text" inputmode=${kind === "whole" ? "numeric" : "decimal"}
    ...${common} placeholder=${placeholder} autocomplete="off" />`;
  return html`<textarea rows="2" ...${common} placeholder=${placeholder} spellcheck="false" class="mono"></textarea>`;
}

function says(kind, parameter) {
  const many = { var_positional: "A JSON list of further arguments. ", var_keyword: "A JSON object of further arguments. " };
  const what = many[parameter.kind] ?? (kind === "json" ? "JSON. " : "");
  if (parameter.label) return what;
  return `${what}${parameter.required ? "Required." : "Left empty: its default."}`;
}
