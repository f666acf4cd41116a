"use strict";
// The application: a token, a new job, the list of jobs. Texts of people and files are put in as text, never as markup.

const POLL_MS = 1500, SLOW_POLL_MS = 6000, AT_ONCE = 4, JOBS_A_PAGE = 20, MOST_ROWS = 300;
const $ = (id) => document.getElementById(id);
const STATES = { arriving: "being sent", uploaded: "to be read", reading: "being read", ready: "waiting", running: "being solved", ok: "solved", refused: "not applicable", failed: "failed", cancelled: "cancelled", open: "not started", queued: "running", done: "done" };
const ENDS = ["ok", "refused", "failed", "cancelled"];
const jobs = new Map();  // id → { job, curves: Map, card, open }
let chosen = [], me = null, shownJobs = JOBS_A_PAGE, timer = null;

async function call(method, path, body, type = "application/json") {
  const options = { method, headers: { "X-Deepstruc-Hpc": "1" }, credentials: "same-origin" };
  if (body !== undefined) { options.headers["Content-Type"] = type; options.body = type === "application/json" ? JSON.stringify(body) : body; }
  for (let attempt = 0; ; attempt += 1) {
    let answer;
    try { answer = await fetch(path, options); } catch { throw new Error("The server cannot be reached."); }
    if (answer.status === 429 && attempt < 20) { await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") || 1))); continue; }
    if (answer.status === 401) { askForToken(); throw new Error("A token is needed."); }
    const told = answer.status === 204 ? null : await answer.json().catch(() => null);
    if (!answer.ok) throw new Error(told && typeof told.detail === "string" ? told.detail : `The server answered ${answer.status}.`);
    return told;
  }
}

function problem(text) { $("problem").textContent = text; $("problem").hidden = !text; }
function tell(text) { if ($("told").textContent !== text) $("told").textContent = text; }

// ---- the token

function askForToken() {
  clearTimeout(timer); me = null;
  for (const id of ["new", "jobs", "leave"]) $(id).hidden = true;
  $("who").textContent = ""; $("enter").hidden = false; $("token").focus();
}

async function enter(token) {
  const answer = await fetch("api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }), credentials: "same-origin" });
  if (!answer.ok) { const told = await answer.json().catch(() => null); throw new Error(answer.status === 401 ? "This token is not known here." : told?.detail || `The server answered ${answer.status}.`); }
}

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  try { await enter($("token").value.trim()); $("token").value = ""; problem(""); await begin(); } catch (error) { problem(error.message); }
});
$("leave").addEventListener("click", async () => { await call("DELETE", "api/session"); jobs.clear(); $("list").replaceChildren(); askForToken(); });

// ---- the files of a new job

const KIB = 1024, MIB = 1024 * KIB;
function size(bytes) { return bytes < MIB ? `${Math.max(1, Math.round(bytes / KIB))} KiB` : `${Number((bytes / MIB).toFixed(1))} MiB`; }

function choose(files) {
  chosen = [...chosen, ...files].filter((file) => !file.name.startsWith("."));
  const most = me.limits.file_bytes, large = chosen.filter((file) => file.size > most).length, many = chosen.length > me.limits.files_per_job;
  const words = chosen.length ? `${chosen.length} file${chosen.length === 1 ? "" : "s"}, ${size(chosen.reduce((sum, file) => sum + file.size, 0))}: ${chosen.slice(0, 6).map((file) => file.name).join(", ")}${chosen.length > 6 ? " …" : ""}` : "";
  $("chosen").replaceChildren(...(chosen.length ? [make("div", { class: "picked" }, make("span", {}, words), make("button", { type: "button", class: "plain", onclick: () => { chosen = []; choose([]); } }, "Clear"))] : []),
    ...(large ? [make("p", { class: "problem" }, `${large} of them ${large === 1 ? "is" : "are"} larger than ${size(most)} and will be refused.`)] : []),
    ...(many ? [make("p", { class: "problem" }, `A job takes ${me.limits.files_per_job} files.`)] : []));
  $("solve").disabled = !chosen.length || many;
}

async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    for (const each of some) found.push(...await filesBelow(each));
  }
  return found;
}

for (const id of ["files", "folder"]) $(id).addEventListener("change", (event) => { choose(event.target.files); event.target.value = ""; });
for (const name of ["dragenter", "dragover"]) $("drop").addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) $("drop").addEventListener(name, () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", async (event) => {
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files];
  try { choose(entries.length ? (await Promise.all(entries.map(filesBelow))).flat() : plain); } catch { choose(plain); }
});

// ---- start a job

function settings() {
  const given = {};
  for (const name of ["composition", "sample", "radiation"]) if ($(name).value.trim()) given[name] = $(name).value.trim();
  for (const name of ["qmin", "qmax", "qdamp", "qbroad", "rmin", "rmax", "low_q", "samples", "seed"]) if ($(name).value !== "") given[name] = Number($(name).value);
  const elements = $("elements").value.split(/[\s,;]+/).filter(Boolean);
  if (elements.length) given.elements = elements;
  if ($("mixtures").checked) given.mixtures = true;
  return given;
}

async function send(job, files) {
  const waiting = files.map((file, i) => [file, i]), refused = [];
  let sent = 0;
  const one = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [file] = next;
      try { await call("POST", `api/jobs/${job.id}/files?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream"); } catch (error) { if (!me) throw error; refused.push(`${file.name}: ${error.message}`); }
      sent += 1; $("sending").textContent = `${sent} of ${files.length} files sent`;
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, one));
  return refused;
}

$("job").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!chosen.length) { problem("Choose at least one file."); return; }
  $("solve").disabled = true; problem("");
  try {
    const job = await call("POST", "api/jobs", { title: $("title").value, settings: settings() });
    const refused = await send(job, chosen);
    if (refused.length) problem(`${refused.length} of ${chosen.length} files were not taken. ${refused.slice(0, 3).join(" ")}`);
    if (refused.length === chosen.length) { await call("DELETE", `api/jobs/${job.id}`); } else {
      await call("POST", `api/jobs/${job.id}/start`);
      chosen = []; choose([]); $("title").value = "";
      await refresh(job.id);
    }
    $("sending").textContent = "";
  } catch (error) { problem(error.message); $("sending").textContent = ""; }
  $("solve").disabled = !chosen.length;
});

// ---- the list of jobs

const running = (job) => job.state === "queued";

function jobWords(job) {
  const counts = job.counts, parts = ENDS.filter((state) => counts[state]).map((state) => `${counts[state]} ${STATES[state]}`);
  const left = job.total - job.ended_curves;
  if (running(job) && left) parts.push(`${left} to come`);
  if (running(job) && !left) parts.push("writing the report");
  if (running(job) && job.ahead) parts.push(`${job.ahead} curve${job.ahead === 1 ? "" : "s"} of earlier jobs in the queue`);
  return `${job.total} curve${job.total === 1 ? "" : "s"}: ${parts.join(", ") || STATES[job.state]}`;
}

function settingWords(given) {
  return Object.entries(given).map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(", ") : value}`).join(" · ");
}

const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "");
const COLUMNS = [
  ["file", (row) => row.name, "file"], ["state", (row) => make("span", { class: `state ${row.state}` }, STATES[row.state] || row.state), ""], ["phase", (row) => row.result.phase || "", ""],
  ["atoms", (row) => row.result.atoms || "", "number"], ["diameter (Å)", (row) => row.result.diameter || "", "number"], ["Rw", (row) => number(row.result.rw, 3), "number"],
  ["probability", (row) => (row.result.probability > 0.995 ? "> 0.99" : number(row.result.probability, 2)), "number"], ["flags", (row) => (row.result.flags || []).join(", "), ""], ["message", (row) => row.message, "message"],
];

function curveRow(row) { return make("tr", {}, COLUMNS.map(([head, show, kind]) => make("td", { class: kind, "data-head": head === "file" || head === "message" ? null : head }, show(row)))); }

function curveTable(entry) {
  const rows = [...entry.curves.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) || a.number - b.number);
  return [make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Curves of ${entry.job.title}` }, make("table", { class: "curves" }, make("thead", {}, make("tr", {}, COLUMNS.map(([head, , kind]) => make("th", { class: kind === "number" ? kind : null, scope: "col" }, head)))),
    make("tbody", {}, rows.slice(0, MOST_ROWS).map(curveRow)))), rows.length > MOST_ROWS ? make("p", { class: "hint" }, `The first ${MOST_ROWS} of ${rows.length} curves; the report shows all.`) : null].filter(Boolean);
}

async function act(method, path, question) {
  if (question && !window.confirm(question)) return;
  try { await call(method, path); problem(""); } catch (error) { problem(error.message); }
  await refresh();
}

function shareBox(job) {
  if (!job.shared) return null;
  const link = new URL(job.shared, document.baseURI).href;
  return make("p", { class: "shared" }, "Whoever has this link sees the results, without a token. ", make("button", { type: "button", class: "plain", onclick: () => act("DELETE", `api/jobs/${job.id}/share`) }, "Withdraw it"),
    make("input", { type: "text", readonly: true, value: link, "aria-label": `Shared link of ${job.title}`, onfocus: (event) => event.target.select() }));
}

function fill(entry) {
  const { job, card } = entry, path = `api/jobs/${job.id}`, button = (text, run, label) => make("button", { type: "button", onclick: run, "aria-label": label }, text);
  const left = job.total - job.ended_curves, focused = document.activeElement?.dataset?.act && card.contains(document.activeElement) ? document.activeElement.dataset.act : null;
  const acts = [
    job.page ? make("a", { class: "button", href: job.page, "data-act": "open" }, "Open the report") : null,
    job.zip ? make("a", { class: "button", href: job.zip, download: true, "data-act": "zip" }, "Download all") : null,
    job.page && !job.shared ? button("Share", () => act("POST", `${path}/share`), `Share ${job.title}`) : null,
    running(job) || job.state === "open" ? button("Cancel", () => act("POST", `${path}/cancel`), `Cancel ${job.title}`) : button("Delete", () => act("DELETE", path, `Delete “${job.title}” with its files and results?`), `Delete ${job.title}`),
  ].filter(Boolean);
  for (const each of acts) each.dataset.act ||= each.textContent;
  const rows = make("details", { open: entry.open, ontoggle: (event) => { entry.open = event.target.open; if (entry.open && !entry.loaded) refresh(); } }, make("summary", {}, "Curves"), entry.open ? curveTable(entry) : "");
  card.replaceChildren(make("div", { class: "head" }, make("h3", {}, job.title), make("span", { class: `state ${job.state}` }, STATES[job.state])), make("p", { class: "words" }, jobWords(job), settingWords(job.settings) ? make("span", { class: "hint" }, settingWords(job.settings)) : ""),
    ...(running(job) ? [make("progress", { max: Math.max(1, job.total), value: job.total - left, "aria-label": `Progress of ${job.title}` })] : []), make("div", { class: "acts" }, acts), ...[shareBox(job)].filter(Boolean), rows);
  if (focused) card.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

async function refresh(opened) {
  clearTimeout(timer);
  const list = await call("GET", `api/jobs?limit=${Math.min(200, shownJobs + 1)}`);
  $("more").hidden = list.length <= shownJobs; $("none").hidden = list.length > 0;
  const kept = list.slice(0, shownJobs), ids = new Set(kept.map((job) => job.id));
  for (const [id, entry] of jobs) if (!ids.has(id)) { entry.card.remove(); jobs.delete(id); }
  let before = null;
  for (const job of kept) {
    let entry = jobs.get(job.id);
    if (!entry) { entry = { curves: new Map(), card: make("article", { class: "job", "aria-label": job.title, "data-job": job.id }), open: false, seen: -1, mark: "" }; jobs.set(job.id, entry); }
    if (job.id === opened) entry.open = true;
    const changed = JSON.stringify(job) !== entry.mark;
    if (entry.open && (job.revision !== entry.seen || !entry.loaded)) {
      const detail = await call("GET", `api/jobs/${job.id}?since=${Math.max(0, entry.seen)}`);
      for (const row of detail.curves) entry.curves.set(row.number, row);
      entry.seen = detail.revision; entry.loaded = true; entry.mark = "";
    }
    entry.job = job;
    if (changed || !entry.mark) { fill(entry); entry.mark = JSON.stringify(job); }
    const place = before ? before.nextElementSibling : $("list").firstElementChild;
    if (place !== entry.card) $("list").insertBefore(entry.card, place);
    before = entry.card;
  }
  const active = kept.find(running);
  if (active) tell(`${active.title}: ${jobWords(active)}`); else if (jobs.size && $("told").textContent) tell("All jobs are done.");
  timer = setTimeout(watch, active || kept.some((job) => job.counts.uploaded || job.counts.reading) ? POLL_MS : SLOW_POLL_MS);
}

async function watch() {
  try { me = await call("GET", "api/me"); await refresh(); if ($("problem").dataset.of === "server") { problem(me.problem); if (!me.problem) delete $("problem").dataset.of; } else if (me.problem) { problem(me.problem); $("problem").dataset.of = "server"; } } catch (error) {
    if (me) { problem(error.message); $("problem").dataset.of = "server"; timer = setTimeout(watch, SLOW_POLL_MS); }
  }
}

$("more").addEventListener("click", () => { shownJobs = Math.min(199, shownJobs + JOBS_A_PAGE); refresh(); });

async function begin() {
  me = await call("GET", "api/me");
  for (const id of ["new", "jobs", "leave"]) $(id).hidden = false;
  $("enter").hidden = true; $("who").textContent = me.name;
  $("allowed").textContent = `.gr, other text tables of G(r), F(Q) or S(Q), HDF5 and NeXus. At most ${me.limits.files_per_job} files of ${size(me.limits.file_bytes)}.`;
  choose([]);
  await watch();
}

async function open_() {
  const given = /^#token=([\w.~-]+)$/.exec(window.location.hash);
  try {
    if (given) { window.history.replaceState(null, "", window.location.pathname); await enter(given[1]); problem(""); }
    await begin();
  } catch (error) { if (me === null) askForToken(); if (given) problem(error.message); }
}

window.addEventListener("hashchange", () => { if (window.location.hash.startsWith("#token=")) open_(); });
open_();
