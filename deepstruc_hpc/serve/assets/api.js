"use strict";
// The OpenAPI document of the server in words.

function kind(schema, all) {
  if (!schema) return "";
  if (schema.$ref) { const name = schema.$ref.split("/").pop(); return name; }
  if (schema.anyOf) return schema.anyOf.map((each) => kind(each, all)).filter((each) => each !== "null").join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type === "array") return `list of ${kind(schema.items, all) || "values"}`;
  return schema.format === "binary" ? "bytes" : schema.type || "";
}

function fields(name, all) {
  const properties = all[name]?.properties || {};
  return make("dl", {}, Object.entries(properties).map(([key, value]) => [make("dt", {}, make("code", {}, key)), make("dd", {}, [kind(value, all), value.description].filter(Boolean).join(": "))]));
}

function operation(path, method, said, all) {
  const body = Object.entries(said.requestBody?.content || {})[0], good = Object.entries(said.responses).find(([code]) => code.startsWith("2")), back = good?.[1]?.content?.["application/json"]?.schema;
  return make("section", { class: "operation" }, make("h3", {}, make("span", { class: "method" }, method.toUpperCase()), " ", make("code", {}, path)), make("p", {}, said.description || said.summary),
    (said.parameters || []).length ? make("dl", {}, said.parameters.map((each) => [make("dt", {}, make("code", {}, each.name)), make("dd", {}, [`in ${each.in}`, kind(each.schema, all), each.description].filter(Boolean).join(", "))])) : "",
    body ? make("p", {}, `Body: ${body[0]}, ${kind(body[1].schema, all)}`) : "", make("p", { class: "hint" }, `Answers ${good?.[0] || ""}${back ? ` with ${kind(back, all)}` : ""}. Refusals: ${Object.keys(said.responses).filter((code) => code >= "400").join(", ")}.`));
}

(async () => {
  const document_ = await (await fetch("api/openapi.json")).json(), all = document_.components.schemas;
  const base = new URL(".", window.location.href).href;
  document.getElementById("version").textContent = `version ${document_.info.version}`;
  document.getElementById("about").textContent = document_.info.description.replaceAll("`", "");
  document.getElementById("example").textContent = `curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"settings": {"composition": "CeO2"}}' ${base}api/jobs`;
  document.getElementById("operations").append(make("h2", {}, "Requests"), ...Object.entries(document_.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, said]) => operation(path, method, said, all))),
    make("h2", {}, "Values"), ...Object.keys(all).filter((name) => !/Validation/.test(name)).map((name) => make("section", { class: "operation" }, make("h3", {}, name), make("p", {}, all[name].description || ""), fields(name, all))));
})();
