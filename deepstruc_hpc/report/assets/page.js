"use strict";
// The table of the folder and the sections, which are drawn when they are opened and emptied when they are closed.

const folder = JSON.parse(document.getElementById("folder").textContent);
const NUMBERS = { n_atoms: 0, rw: 4, probability: 2, n_candidates: 0, seconds: 1, scale: 3, zoom: 4, uiso: 4, delta2: 2, rank: 0, best_rw: 4, best_n_atoms: 0 };
const HEADS = { name: "file", phase: "phase", n_atoms: "atoms", diameter: "diameter (Å)", rw: "Rw", probability: "probability", status: "status", flags: "flags", message: "message" };
const WORDS = { rw: "Rw", uiso: "Uiso (Å²)", delta2: "δ₂ (Å²)", scale: "scale", zoom: "zoom", rank: "rank", source: "source", structure_type: "type", n_atoms: "atoms", probability: "probability", label: "shape" };

function show(key, value) {
  if (value === null || value === undefined || value === "") return "";
  if (key === "probability" && Number(value) > 0 && Number(value) < 0.005) return "< 0.01";
  if (key === "probability" && Number(value) < 1 && Number(value) > 0.995) return "> 0.99";
  return key in NUMBERS && Number.isFinite(Number(value)) ? Number(value).toFixed(NUMBERS[key]) : String(value);
}

function typeTag(name) { return name ? make("span", { class: "type", colour: folder.colours[name] || "#9aa1ab" }, name.replaceAll("_", " ")) : ""; }
function phaseTag(row) { return row.words.phase ? make("span", { class: "type", colour: folder.colours[row.structure_type] || "#9aa1ab" }, row.words.phase) : ""; }
function statusClass({ flags }, status) { return status === "ok" && flags.some(([, , doubt]) => doubt) ? "ok doubt" : status; }
function statusTag(row) { return make("span", { class: `status ${statusClass(row.words, row.status)}` }, row.words.status); }
function flagTag(words, meaning, doubt) { return make("span", { class: doubt ? "flag doubt" : "flag", title: meaning || words }, words); }
function flagTags(row) { return row.words.flags.map((flag) => flagTag(...flag)); }
function link(path, text) { return make("a", { href: path.split("/").map(encodeURIComponent).join("/"), download: true }, text); }
function cell(key, value) {
  if (key === "structure_type") return make("td", {}, typeTag(value));
  return make("td", { class: key in NUMBERS ? "number" : key === "name" ? "file" : key }, show(key, value));
}

// ---- the table of the folder

// What a cell of the folder's table shows, and what it is sorted by: numbers as numbers, everything else as its words; null where it is empty.
const SHOWN = {
  phase: (row) => make("td", {}, phaseTag(row)), n_atoms: (row) => make("td", { class: "number" }, row.words.atoms), diameter: (row) => make("td", { class: "number" }, row.words.diameter),
  status: (row) => make("td", {}, statusTag(row)), flags: (row) => make("td", { class: "flags" }, flagTags(row)), message: (row) => make("td", { class: "message" }, row.words.message ? make("div", { class: "clamped", title: row.words.message }, row.words.message) : ""),
};
const SORTED = {
  phase: (row) => row.words.phase, n_atoms: (row) => row.n_atoms, diameter: (row) => row.diameter ?? row.diameter_low, status: (row) => row.words.status,
  flags: (row) => row.words.flags.map(([words]) => words).join(" "), message: (row) => row.words.message,
};
const NUMERIC = new Set([...Object.keys(NUMBERS), "diameter"]);
function sortedBy(row, key) {
  const value = key in SORTED ? SORTED[key](row) : row[key];
  return value === undefined || value === "" ? null : value;
}
function haystack(row) { return [row.name, row.structure_type, row.formula, row.status, ...Object.values(row.words).flat(2)].filter((item) => item !== null && item !== undefined).join(" ").toLowerCase(); }

let order = { key: null, down: false };
function fillTable() {
  const words = document.getElementById("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const rows = folder.rows.map((row, i) => ({ row, i })).filter(({ row }) => words.every((word) => haystack(row).includes(word)));
  if (order.key) {
    rows.sort((a, b) => {
      const [x, y] = [sortedBy(a.row, order.key), sortedBy(b.row, order.key)];
      if (x === null || y === null) return (x === null) - (y === null);
      const compared = NUMERIC.has(order.key) ? Number(x) - Number(y) : String(x).localeCompare(String(y), undefined, { numeric: true });
      return order.down ? -compared : compared;
    });
  }
  document.querySelector("#summary tbody").replaceChildren(...rows.map(({ row, i }) => make("tr", { tabindex: 0, onclick: () => openSection(i), onkeydown: (event) => { if (event.key === "Enter") openSection(i); } },
    columns.map((key) => key in SHOWN ? SHOWN[key](row) : cell(key, row[key])))));
  for (const head of document.querySelectorAll("#summary th")) head.setAttribute("aria-sort", head.dataset.key === order.key ? (order.down ? "descending" : "ascending") : "none");
}

const columns = Object.keys(HEADS).filter((key) => folder.rows.some((row) => sortedBy(row, key) !== null));
document.querySelector("#summary thead").append(make("tr", {}, columns.map((key) => make("th", { class: NUMERIC.has(key) ? "number" : key === "message" ? key : "", "data-key": key },
  make("button", { type: "button", onclick: () => { order = { key, down: order.key === key && !order.down }; fillTable(); } }, HEADS[key])))));
document.getElementById("filter").addEventListener("input", fillTable);

function openSection(i) {
  const section = document.getElementById(`section-${i}`);
  section.open = true;
  section.scrollIntoView({ behavior: "smooth", block: "start" });
}

// ---- one section

function answerWords(row) {
  if (row.status !== "ok") return [statusTag(row)];
  const { atoms, diameter } = row.words;
  return [phaseTag(row), make("span", { class: "answer" }, [row.n_atoms ? `${atoms} atoms` : atoms, diameter ? `${diameter} Å` : "", row.rw !== null && row.rw !== undefined ? `Rw ${show("rw", row.rw)}` : "",
    row.probability !== null && row.probability !== undefined ? `probability ${show("probability", row.probability)}` : ""].filter(Boolean).join(" · ")), flagTags(row)];
}

// What is known about the sample and the answer, one line each.
function factList(row) {
  const { taken_for: taken, phase, size, flags, notes } = row.words, answered = row.status === "ok";
  const lines = [["Sample", taken], ["Phase", answered && phase ? phaseTag(row) : ""], ["Size", answered ? size : ""],
    ["Flags", flags.length ? make("ul", {}, flags.map(([words, meaning, doubt]) => make("li", {}, flagTag(words, meaning, doubt), meaning))) : ""],
    ["Notes", notes.length ? make("ul", { class: "notes" }, notes.map((note) => make("li", {}, note))) : ""]].filter(([, said]) => said);
  return lines.length ? make("dl", { class: "facts" }, lines.map(([head, said]) => [make("dt", {}, head), make("dd", {}, said)])) : null;
}

// Nested settings as columns of key and value; a group's keys below its name.
function settingsTable(value) {
  const plain = (item) => item === null || typeof item !== "object" || Array.isArray(item);
  const given = (item) => item !== null && item !== "" && !(Array.isArray(item) && !item.length);
  const rows = (group) => make("table", { class: "pairs", style: "width:auto" }, make("tbody", {}, Object.entries(group).filter(([, item]) => plain(item) && given(item))
    .map(([key, item]) => make("tr", {}, make("td", {}, key.replaceAll("_", " ")), make("td", {}, readable(item))))));
  const blocks = [];
  const walk = (group, title) => {
    const table = rows(group);
    if (table.rows.length) blocks.push(make("div", { class: "block" }, make("h3", {}, title), table));
    for (const [key, item] of Object.entries(group)) if (!plain(item) && given(item)) walk(item, title === "run" ? key : `${title}: ${key}`);
  };
  walk(value, "run");
  return make("div", { class: "blocks" }, blocks);
}

function parameterTable(best) {
  const rows = ["rw", "scale", "zoom", "uiso", "delta2"].filter((key) => Number.isFinite(best[key])).map((key) => {
    const error = best[`${key}_err`];
    return make("tr", {}, make("td", {}, WORDS[key]), make("td", { class: "number" }, Number.isFinite(error) && error > 0 ? withError(best[key], error) : show(key, best[key])));
  });
  if (best.at_bounds) rows.push(make("tr", {}, make("td", {}, "at its bound"), make("td", { class: "number" }, String(best.at_bounds).split(/[ ,;]+/).map((key) => WORDS[key] || key).join(", "))));
  return make("table", { class: "pairs" }, make("tbody", {}, rows));
}

function typeBars(types) {
  return make("div", { class: "bars" }, types.filter((row) => row.structure_type).slice(0, 10).map((row) => make("div", { class: "bar", title: `best Rw ${show("rw", row.best_rw ?? row["best rw"])}` },
    make("span", { class: "of", title: row.structure_type.replaceAll("_", " ") }, row.structure_type.replaceAll("_", " ")),
    make("span", { class: "track" }, make("span", { class: "fill", colour: folder.colours[row.structure_type] || "#9aa1ab", style: `width:${100 * (row.probability || 0)}%;--colour:${folder.colours[row.structure_type] || "#9aa1ab"}` })),
    make("span", { class: "share" }, show("probability", row.probability)),
    make("span", { class: "share soft" }, show("rw", row.best_rw)))));
}

// The formula of a particle whose atoms are all in the file; of a crystal its number of atoms, or that it has none.
function candidateSize({ n_atoms: atoms, formula, atoms: drawn }) {
  if (!Number.isFinite(atoms)) return "bulk crystal";
  return formula && drawn.of === atoms && formula.length < 13 ? formula : `${atoms} atoms`;
}

function drawnWords({ n_atoms: atoms, atoms: drawn }) {
  if (drawn.of === atoms && drawn.drawn === atoms) return "";
  return drawn.of === atoms ? `the ${drawn.drawn} innermost atoms are drawn` : `a piece of ${drawn.drawn} atoms is drawn`;
}

function candidateViews(document_, views) {
  const options = { colour: "element" };
  const shown = document_.candidates.filter((candidate) => candidate.atoms), answered = document_.row.status === "ok";
  const grid = make("div", { class: "views" }, shown.map((candidate) => {
    const canvas = make("canvas", { "aria-label": `rank ${candidate.rank}: turn with the mouse or the arrow keys` });
    views.push([canvas, candidate.atoms, options]);
    return make("div", { class: "view" }, canvas, make("div", { class: "what" }, `${candidate.rank} · `, typeTag(candidate.structure_type)),
      make("div", { class: "numbers" }, `${candidateSize(candidate)} · Rw ${show("rw", candidate.rw)}`),
      drawnWords(candidate) ? make("div", { class: "drawn" }, drawnWords(candidate)) : "",
      make("div", { class: "get" }, candidate.links.map((name) => link(`${document_.folder}/${name}`, name.split(".").pop().toUpperCase()))));
  }));
  const symbols = [...new Set(shown.flatMap((candidate) => candidate.atoms.symbols.map(([symbol]) => symbol)))];
  const key = make("span", { class: "key" });
  const refresh = () => key.replaceChildren(...(options.colour === "element" ? symbols.map((symbol) => make("span", {}, make("span", { class: "dot", colour: elementStyle(symbol)[0] }), symbol))
    : [3, 5, 6, 8, 9, 12].map((n) => make("span", {}, make("span", { class: "dot", colour: COORDINATION[n] }), String(n)))));
  const choice = (value, text) => make("label", {}, make("input", { type: "radio", name: `colour-${document_.folder}`, value, checked: value === options.colour,
    onchange: () => { options.colour = value; refresh(); for (const view of views.live || []) view.draw(); } }), ` ${text}`);
  refresh();
  return [make("div", { class: "viewer-tools" }, make("span", {}, make("strong", {}, answered ? `The best ${shown.length} candidates` : `The closest ${shown.length} candidates, none of which is an answer`), " · drag to turn, Ctrl + wheel to zoom, double click to reset"),
    make("span", {}, key, choice("element", "elements"), choice("coordination", "neighbours of each atom"))), grid];
}

function candidateTable(candidates, answered) {
  const keys = ["rank", "source", "structure_type", "n_atoms", "rw", "probability", "scale", "zoom", "uiso", "delta2", "label"].filter((key) => (answered || key !== "probability") && candidates.some((row) => row[key] !== null && row[key] !== undefined));
  return make("div", { class: "scroll" }, make("table", { class: "candidates" }, make("thead", {}, make("tr", {}, keys.map((key) => make("th", { class: key in NUMBERS ? "number" : "" }, WORDS[key] || key)))),
    make("tbody", {}, candidates.map((row) => make("tr", { title: row.label || "" }, keys.map((key) => key === "n_atoms" && !Number.isFinite(row[key]) ? make("td", { class: "number" }, "bulk") : cell(key, row[key])))))));
}

// A value with its uncertainty, where there is one.
function measured(row, key) {
  const error = row[`${key}_err`];
  if (!Number.isFinite(row[key])) return "";
  return Number.isFinite(error) && error > 0 ? withError(row[key], error) : row[key].toFixed(4);
}

function plainTable(heads, rows) {
  return make("div", { class: "scroll" }, make("table", { class: "candidates" }, make("thead", {}, make("tr", {}, heads.map((head) => make("th", { class: "number" }, head)))),
    make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((text) => make("td", { class: "number" }, text)))))));
}

function verifyTable(rows) {
  if ("rw_srreal" in rows[0]) {
    return [make("h3", {}, "Calculated again with diffpy.srreal"), plainTable(["rank", "type", "atoms", "Rw, ours", "Rw, srreal", "model curves apart", "calculator"], rows.map((row) => [
      show("rank", row.rank), typeTag(row.structure_type), show("n_atoms", row.n_atoms), show("rw", row.rw), ...row.message ? ["", "", row.message] : [show("rw", row.rw_srreal), show("rw", row.apart), row.engine]]))];
  }
  const keys = ["scale", "zoom", "uiso", "delta2"];
  return [make("h3", {}, "Refined again with diffpy.srfit: its values below ours"),
    plainTable(["rank", "type", "atoms", "", "Rw", ...keys.map((key) => WORDS[key])], rows.flatMap((row) => [
      [show("rank", row.rank), typeTag(row.structure_type), show("n_atoms", row.n_atoms), "ours", show("rw", row.rw), ...keys.map((key) => measured(row, key))],
      row.message ? ["", "", "", "srfit", row.message, "", "", "", ""] : ["", "", "", "srfit", show("rw", row.rw_srfit), ...keys.map((key) => measured(row, `${key}_srfit`))],
    ]))];
}

function mixtureTable(rows) {
  const first = rows[0], kind = first.kind === "sizes" ? "several sizes" : "two phases";
  return [make("h3", {}, first.kept ? `A mixture: ${kind}, Rw ${show("rw", first.rw)} instead of ${show("rw", first.rw_single)}` : `No mixture: ${kind} would reach Rw ${show("rw", first.rw)} instead of ${show("rw", first.rw_single)}, which does not pay for the further parameters`),
    plainTable(["rank", "type", "atoms", "share of the weight", "zoom"], rows.map((row) => [show("rank", row.rank), typeTag(row.structure_type), show("n_atoms", row.n_atoms), measured(row, "weight_fraction"), measured(row, "zoom")]))];
}

function phaseTable(rows) {
  const size = (row) => Number.isFinite(row.diameter) ? measured(row, "diameter") : `> ${row.diameter_low.toFixed(0)}`;
  return [make("h3", {}, "Phases"), plainTable(["formula", "type", "", "share of the weight", "a (Å)", "b (Å)", "c (Å)", "diameter (Å)", "Rw of what the others leave"], rows.map((row) => [
    row.formula, typeTag(row.structure_type), row.role || "", measured(row, "weight_fraction"), measured(row, "a"), measured(row, "b"), measured(row, "c"), size(row), show("rw", row.rw_of_rest)]))];
}

function sectionBody(i) {
  const data = JSON.parse(document.getElementById(`pdf-${i}`).textContent), parts = [], later = [], views = [];
  const answered = data.row.status === "ok", row = { ...data.row, words: data.words };
  if (data.words.message) parts.push(make("p", { class: `message-line ${statusClass(data.words, row.status)}` }, answered ? "" : make("strong", {}, `${data.words.status}: `), data.words.message));
  parts.push(...[factList(row)].filter(Boolean));
  const curve = data.fit ? make("div", { class: "plot curve" }) : null;
  if (curve) later.push(() => drawFit(curve, data.fit));
  const bars = answered && data.types.length > 0;
  if (curve || bars) {
    parts.push(make("div", { class: "row fit" }, make("div", {}, curve || make("p", { class: "note" }, "There is no fit of this curve.")), make("div", {},
      bars ? [make("h3", {}, "Probability of each structure type, and its best Rw"), typeBars(data.types)] : [], Object.keys(data.best).length ? [make("h3", {}, answered ? "Fit of rank 1" : "Fit of the closest candidate"), parameterTable(data.best)] : [])));
  }
  if (data.candidates.some((candidate) => candidate.atoms)) parts.push(...candidateViews(data, views));
  if (data.candidates.length) parts.push(make("h3", { style: "margin-top:18px" }, answered ? "Candidates" : "Closest candidates"), candidateTable(data.candidates, answered));
  const leftOut = data.sizes && data.sizes.left_out ? ` (without ${data.sizes.left_out === 1 ? "the one crystal that has" : `the ${data.sizes.left_out} crystals that have`} no end)` : "";
  const plots = [[`Rw of every candidate against its size${leftOut}`, data.sizes, (place) => drawSizes(place, data.sizes, folder.colours, data.best, answered ? "rank 1" : "closest")],
    ["Latent map, first two coordinates: catalog ●, samples ◆, prior +", data.latent, (place) => drawLatent(place, data.latent, folder.colours, sigmaLevels())],
    ["Diameters of the crystal, by volume, with no shape of the distribution assumed", data.diameters, (place) => drawDiameters(place, data.diameters)]];
  const pictures = plots.filter(([, known]) => known).map(([title, , draw]) => {
    const place = make("div", { class: "plot map" });
    later.push(() => draw(place));
    return make("div", {}, make("h3", {}, title), place);
  });
  if (pictures.length) parts.push(make("div", { class: "row map", style: "margin-top:18px" }, pictures));
  if (data.phases.length) parts.push(...phaseTable(data.phases));
  if (data.mixture.length) parts.push(...mixtureTable(data.mixture));
  if (data.verify.length) parts.push(...verifyTable(data.verify));
  const used = conditions(data.details);
  if (used.length) parts.push(make("details", { class: "small" }, make("summary", {}, "Conditions used for this file"), make("div", { class: "body" }, used)));
  if (data.files.length) parts.push(make("p", { class: "files" }, make("span", {}, "Files: "), data.files.map((name) => link(`${data.folder}/${name}`, name))));
  if (!parts.length) parts.push(make("p", { class: "note" }, "No results were written for this file."));
  return { parts, start: () => { for (const draw of later) draw(); views.live = views.map((view) => new AtomView(...view)); sameScale(views.live); } };
}

const UNITS = { rmin: "Å", rmax: "Å", low_q: "Å⁻¹", qmin: "Å⁻¹", qmax: "Å⁻¹", qdamp: "Å⁻¹", qbroad: "Å⁻¹" };
const ORIGINS = { header: "from the file's header", option: "given", default: "default", data: "from the data", instrument: "from the instrument file" };

// The values used and where each comes from, as a table; whatever else is known, below it.
function conditions(details) {
  const { origin = {}, notes: _, ...used } = details.conditions || {}, { conditions: __, details: known = {}, settings_id: ___, file_hash: ____, ...others } = details;
  const { notes: _____, ...further } = known, rest = { ...others, ...further };
  const rows = Object.entries(used).filter(([, value]) => value !== null && typeof value !== "object" || Array.isArray(value)).map(([key, value]) => make("tr", {}, make("td", {}, key),
    make("td", {}, `${Array.isArray(value) ? value.join(", ") : typeof value === "number" ? Number(value.toPrecision(6)) : value} ${UNITS[key] || ""}`), make("td", {}, ORIGINS[origin[key]] || origin[key] || "")));
  const more = readable(rest);
  return [rows.length ? make("table", { class: "pairs", style: "width:auto" }, make("tbody", {}, rows)) : null, more ? make("pre", { class: "settings", style: "margin-top:8px" }, more) : null].filter(Boolean);
}

function sigmaLevels() {
  const found = (folder.run.settings || folder.run).sigma;
  return Array.isArray(found) ? found : [3, 5, 7];
}

function readable(value, indent = "") {
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object")) return value.length > 12 ? `${value.slice(0, 12).join(", ")} … (${value.length})` : value.join(", ");
  return Object.entries(value).filter(([, item]) => item !== null && item !== "").map(([key, item]) => {
    const text = readable(item, `${indent}  `), nested = item !== null && typeof item === "object" && !(Array.isArray(item) && item.every((x) => x === null || typeof x !== "object"));
    return nested ? `${indent}${key}\n${text}` : `${indent}${key}: ${text}`;
  }).join("\n");
}

function addSection(i) {
  const row = folder.rows[i], body = make("div", { class: "body" });
  const section = make("details", { class: "pdf", id: `section-${i}` }, make("summary", {}, row.name, answerWords(row)), body);
  section.addEventListener("toggle", (event) => {
    if (event.target !== section) return;
    if (section.open && !body.childElementCount) { const { parts, start } = sectionBody(i); body.append(...parts); start(); }
    else if (!section.open && body.childElementCount) { for (const plot of body.querySelectorAll(".plot")) Plotly.purge(plot); body.replaceChildren(); }
  });
  document.getElementById("sections").append(section);
}

// ---- the series, one above the other

const MOST_CURVES = 40;
function addSeries() {
  const solved = folder.rows.map((_, i) => i).filter((i) => folder.fitted[i]);
  if (solved.length < 2) return;
  const step = Math.ceil(solved.length / MOST_CURVES), shown = solved.filter((_, k) => k % step === 0);
  const body = make("div", { class: "body" }), words = step > 1 ? `, every ${step}th` : "";
  const section = make("details", { id: "series" }, make("summary", {}, "The series", make("span", { class: "answer" }, `${shown.length} curves${words}, each divided by its largest value; data dark, fit red`)), body);
  section.addEventListener("toggle", () => {
    if (!section.open || body.childElementCount) return;
    const place = make("div", { class: "plot", style: `height:${120 + 46 * shown.length}px` });
    body.append(place);
    drawWaterfall(place, shown.map((i) => ({ name: folder.rows[i].name, fit: JSON.parse(document.getElementById(`pdf-${i}`).textContent).fit })));
  });
  document.getElementById("sections").before(section);
}

// ---- the page

document.getElementById("title").textContent = folder.directory;
document.getElementById("counts").textContent = `${folder.rows.length} pair distribution function${folder.rows.length === 1 ? "" : "s"}: ${folder.counts}`;
document.getElementById("series-page").hidden = !folder.series;
document.getElementById("waterfall").hidden = !folder.waterfall;
document.getElementById("chemiscope").hidden = !folder.chemiscope;
document.querySelector("#settings .body").append(Object.keys(folder.run).length ? settingsTable(folder.run) : "The run left no settings.");
document.getElementById("footer").textContent = `Written by deepstruc-hpc ${folder.version}. Rw = √(Σ(G_obs − G_calc)² / ΣG_obs²); positions in Å as refined; probabilities compare the candidates with each other.`;
fillTable();
addSeries();
for (let i = 0; i < folder.rows.length; i += 1) addSection(i);
const first = folder.rows.findIndex((row) => row.status === "ok");
if (first >= 0 && folder.rows.length <= 200) document.getElementById(`section-${first}`).open = true;
