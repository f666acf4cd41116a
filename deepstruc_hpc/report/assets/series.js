"use strict";
// One frame is chosen at a time: by a click in any plot, a change point, the table, the number, or the arrow keys. Plots are drawn when they come into view.

const series = JSON.parse(document.getElementById("series").textContent), curves = JSON.parse(document.getElementById("curves").textContent);
const grid = unpack(curves.r), embedded = new Map(curves.frames.map((frame, i) => [frame, i]));
const byId = (name) => document.getElementById(name);
const columnText = (column) => column ? column.c.map((code) => column.t[code]) : new Array(series.frames).fill("");
const said = Object.fromEntries(Object.entries(series.words).map(([name, column]) => [name, columnText(column)]));
const texts = Object.fromEntries(Object.entries(series.columns).filter(([, column]) => column.t).map(([name, column]) => [name, columnText(column)]));
const numbers = Object.fromEntries(Object.entries(series.columns).filter(([, column]) => column.n).map(([name, column]) => [name, column.n.map((value) => value === null ? NaN : value)]));
const types = texts.structure_type || new Array(series.frames).fill(""), status = texts.status || new Array(series.frames).fill("ok");
const lost = status.flatMap((state, frame) => state === "ok" ? [] : [{ frame, words: `frame ${frame}, ${said.status[frame]}: ${said.message[frame] || (texts.note || [])[frame] || ""}` }]);
const none = () => new Array(series.frames).fill(NaN);
let chosen = 0, against = (series.abscissae.find((one) => one.key !== "frame" && one.rises) || series.abscissae[0]).key;

function value(key, frame) { return numbers[key] ? numbers[key][frame] : NaN; }
function column(key) { return numbers[key] || none(); }
function abscissa() { return series.abscissae.find((one) => one.key === against); }
function amount(x, digits) { return Number.isFinite(x) ? Number(x.toFixed(digits)).toString() : ""; }

// ---- the chosen frame

function typeMark(frame) { return said.phase[frame] ? make("span", { class: "type", colour: series.colours[types[frame]] || "#9aa1ab" }, said.phase[frame]) : ""; }

function withSpread(key, error, digits, unit) {
  return (frame) => {
    const [x, e] = [value(key, frame), value(error, frame)];
    if (!Number.isFinite(x)) return "";
    return `${Number.isFinite(e) && e > 0 ? withError(x, e) : x.toFixed(digits)}${unit ? ` ${unit}` : ""}`;
  };
}

const FACTS = [
  ["Status", (frame) => make("span", { class: `status ${status[frame]}` }, said.status[frame])],
  ["Phase", typeMark], ["Phases", (frame) => (texts.phases || [])[frame]], ["Size", (frame) => said.size[frame]], ["Rw", withSpread("rw", "", 4, "")],
  ["Probability of the type", withSpread("probability", "", 2, "")], ["… from all frames", withSpread("type_smoothed_probability", "", 2, "")],
  ["Lattice parameter", withSpread("lattice", "lattice_err", 4, "Å")], ["U", withSpread("uiso", "uiso_err", 5, "Å²")], ["Scale", withSpread("scale", "scale_err", 3, "")], ["Spread of sizes", withSpread("size_spread", "", 2, "")],
  ["Probability of a change", withSpread("change_point", "", 2, "")], ["Solved", (frame) => ({ full: "by itself, all candidates", warm: "from its neighbours' candidates", failed: "not solved" })[(texts.how || [])[frame]] || (texts.how || [])[frame]],
  ["Flags", (frame) => { const found = ((texts.flags || [])[frame] || "").split(";").map((flag) => flag.trim()).filter(Boolean); return found.length ? found.map((flag) => make("span", { class: "flag", title: (series.flags[flag] || [flag, ""])[1] }, (series.flags[flag] || [flag.replaceAll("_", " ")])[0])) : ""; }],
  ["Message", (frame) => said.message[frame]], ["Note", (frame) => (texts.note || [])[frame]],
];
const SHOWN = new Set(["frame", "file", "status", "message", "note", "phases", "structure_type", "formula", "phase", "diameter", "diameter_low", "diameter_high", "size_err", "n_atoms", "rw", "probability", "type_smoothed_probability",
  "lattice", "lattice_err", "uiso", "uiso_err", "scale", "scale_err", "size_spread", "change_point", "how", "flags"]);

function otherFacts(frame) {
  return Object.keys(series.columns).filter((name) => !SHOWN.has(name)).map((name) => {
    const shown = name in numbers ? (Number.isFinite(numbers[name][frame]) ? `${numbers[name][frame]}${series.units[name] ? ` ${series.units[name]}` : ""}` : "") : texts[name][frame];
    return [name.replaceAll("_", " "), () => shown];
  });
}

function nearestCurve(frame) {
  if (embedded.has(frame)) return frame;
  return curves.frames.reduce((best, one) => Math.abs(one - frame) < Math.abs(best - frame) ? one : best, curves.frames[0]);
}

function drawCurve(place, index) {
  const data = unpack(curves.data[index]), fit = curves.fit[index] ? unpack(curves.fit[index]) : null;
  const kept = [...grid.keys()].filter((i) => Number.isFinite(data[i]) && (!fit || Number.isFinite(fit[i])));
  const take = (values) => kept.map((i) => values[i]);
  if (fit) return drawCurves(place, take(grid), take(data), take(fit), { config: PLAIN });
  return Plotly.react(place, [{ x: take(grid), y: take(data), mode: "lines", name: "data", line: { color: DATA, width: 1.2 }, hovertemplate: "%{y:.4f} Å⁻²" }],
    { font: FONT, margin: { l: 62, r: 10, t: 28, b: 44 }, hovermode: "x unified", xaxis: axis("r (Å)"), yaxis: axis("G(r) (Å⁻²)") }, PLAIN);
}

function showFrame() {
  const panel = byId("frame"), shown = nearestCurve(chosen), index = embedded.get(shown);
  const facts = [...FACTS, ...otherFacts(chosen)].map(([head, words_]) => [head, words_(chosen)]).filter(([, words_]) => words_ !== "" && words_ !== undefined && words_ !== null);
  const remarks = [shown !== chosen ? `The page holds about one curve in ${series.step}: this is frame ${shown}'s.` : "", !curves.data[index] ? "There is no curve of this frame." : !curves.fit[index] ? "There is no fit of this curve." : ""].filter(Boolean);
  if (!panel.firstChild) panel.append(make("h2", {}), make("div", { class: "plot", role: "img" }), make("div", {}));
  const [head_, plot, below] = panel.children;
  head_.textContent = `Frame ${chosen}: ${said.name[chosen]}`;
  plot.hidden = !curves.data[index];
  plot.setAttribute("aria-label", `Curve, fit and difference of frame ${shown}`);
  below.replaceChildren(...remarks.map((text) => make("p", { class: "note" }, text)), make("dl", { class: "facts" }, facts.map(([head, words_]) => [make("dt", {}, head), make("dd", {}, words_)])));
  if (!plot.hidden) drawCurve(plot, index);
  const short = status[chosen] === "ok" ? [said.phase[chosen], said.diameter[chosen] ? `${said.diameter[chosen]} Å` : "", Number.isFinite(value("rw", chosen)) ? `Rw ${value("rw", chosen).toFixed(3)}` : ""].filter(Boolean).join(" · ") : said.status[chosen];
  byId("current").replaceChildren(`${said.name[chosen]} `, make("span", { class: "answer" }, short));
  byId("number").value = chosen;
}

let waiting = false;
function choose(frame) {
  if (!Number.isInteger(frame) || frame < 0 || frame >= series.frames) return;
  chosen = frame;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; showFrame(); for (const plot of plots) plot.moveMark(); history.replaceState(null, "", `#frame-${chosen}`); });
}

// ---- the plots

const plots = [];

// What a plot shows in one sentence, for those who do not see it.
function summary(title, key, unit, digits) {
  const known = [...column(key).keys()].filter((i) => Number.isFinite(column(key)[i]));
  if (!known.length) return title;
  const at = (i) => `${amount(column(key)[i], digits)}${unit ? ` ${unit}` : ""} in frame ${i}`, low = known.reduce((a, b) => column(key)[b] < column(key)[a] ? b : a), high = known.reduce((a, b) => column(key)[b] > column(key)[a] ? b : a);
  return `${title}: first ${at(known[0])}, last ${at(known[known.length - 1])}; lowest ${at(low)}, highest ${at(high)}. ${known.length} of ${series.frames} frames have a value.`;
}

// One figure: drawn when it comes into view, again when what it is drawn against changes.
class SeriesPlot {
  constructor(parent, title, kind, alternative, figure, draw) {
    this.place = make("div", { class: `plot ${kind}`, role: "img", "aria-label": alternative });
    this.mark = make("div", { class: "mark" }); this.ring = make("div", { class: "ring" }); this.values = null;
    this.kind = kind; this.draw = draw; this.drawn = false; this.visible = false;
    parent.append(make("figure", {}, make("figcaption", {}, make("span", {}, title), series.figures[figure] ? make("a", { href: series.figures[figure].split("/").map(encodeURIComponent).join("/"), download: true }, "PNG") : ""), this.place));
    plots.push(this); watcher.observe(this.place);
  }

  get x() { return this.kind === "heat" && !abscissa().rises ? column("frame") : column(against); }
  get label() { return this.kind === "heat" && !abscissa().rises ? "frame" : abscissa().label; }

  start() {
    if (this.drawn) return;
    this.drawn = true;
    this.draw(this);
    this.place.append(this.mark, this.ring);
    this.place.on("plotly_afterplot", () => this.moveMark());
    this.moveMark();
    if (this.kind !== "map") this.place.on("plotly_relayout", (change) => linkZoom(this, change));
    this.place.on("plotly_click", (event) => choose(frameOf(event, this)));
    this.place.on("plotly_clickannotation", (event) => { const change = series.changes[event.index]; if (change) choose(change.frame); });
  }

  again() { if (this.drawn && this.kind !== "map") { Plotly.purge(this.place); this.drawn = false; if (this.visible) this.start(); } }

  moveMark() {
    if (!this.drawn) return;
    if (this.kind === "map") placeMark(this.place, this.mark, value("x", chosen), value("y", chosen)); else { placeMark(this.place, this.mark, this.x[chosen], null); if (this.values) placeRing(this.place, this.ring, this.x[chosen], this.values[chosen]); }
  }
}

function frameOf({ points, event }, plot) {
  const { left } = plot.place.getBoundingClientRect(), away = (one) => Math.abs(one.xaxis.d2p(one.x) + one.xaxis._offset - (event.clientX - left));
  const point = points.find((one) => one.data.type === "heatmap") || points.reduce((best, one) => away(one) < away(best) ? one : best);
  if (point.data.type === "heatmap") return point.data.meta[Array.isArray(point.pointIndex) ? point.pointIndex[1] : point.pointIndex];
  if (point.customdata !== undefined) return point.customdata;
  return plot.kind === "map" ? -1 : point.pointIndex;
}

let linking = false;
function linkZoom(from, change) {
  const range = change["xaxis.range[0]"] !== undefined ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : change["xaxis.range"] || null;
  if (linking || (!range && !change["xaxis.autorange"])) return;
  linking = true;
  const others = plots.filter((plot) => plot !== from && plot.drawn && plot.kind !== "map" && plot.label === from.label);
  Promise.all(others.map((plot) => Plotly.relayout(plot.place, range ? { "xaxis.range": range } : { "xaxis.autorange": true }))).finally(() => { linking = false; });
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) { const plot = plots.find((one) => one.place === entry.target); plot.visible = entry.isIntersecting; if (entry.isIntersecting) plot.start(); }
  performance.mark("drawn");
}, { rootMargin: "200px" });

function trend(plot, one) {
  const { x, label } = plot, y = column(one.key), few = series.frames <= MOST_MARKERS, rises = abscissa().rises;
  plot.values = y;
  const coloured = one.key === "probability" && types.some(Boolean);
  const main = lineTrace(x, y, one.title, coloured ? "#c9d0d8" : LINE, one.digits, few || !rises);
  if (coloured) { main.mode = "lines+markers"; main.marker = { size: few ? 4.5 : 3, color: types.map((name) => series.colours[name] || "#9aa1ab") }; main.text = types.map((name) => words(name.replaceAll("_", " "))); main.hovertemplate = "%{text} %{y:.2f}<extra></extra>"; }
  const traces = [...(one.low ? bandTraces(x, one.low, one.high, rises, y) : []), main];
  if (numbers[one.second[0]]) traces.push(lineTrace(x, column(one.second[0]), one.second[1], DATA, one.digits, false));
  if (one.least) traces.push({ x, y: one.least, mode: "markers", marker: { symbol: "triangle-up", size: 6, color: LINE }, hovertemplate: `at least %{y:.${one.digits}f}<extra></extra>` });
  drawTrend(plot.place, traces, "", label, x, lost, series.changes, one.key.startsWith("prob") || one.key === "change_point" ? { yaxis: axis("", { range: [-0.03, 1.05] }) } : {});
}

function shares(plot) {
  const { x, label } = plot, rises = abscissa().rises;
  const traces = Object.entries(series.shares).map(([name, values]) => ({ x, y: values, name, mode: rises ? "lines" : "markers", stackgroup: rises ? "one" : undefined, line: { width: 0, color: series.phase_colours[name], shape: "hvh" }, fillcolor: series.phase_colours[name],
    marker: { size: 4, color: series.phase_colours[name] }, hovertemplate: `%{y:.2f}<extra>${words(name)}</extra>` }));
  drawTrend(plot.place, traces, "", label, x, lost, series.changes, { yaxis: axis("", { range: [0, 1.001] }) });
}

function key(colours) { return make("span", { class: "keys" }, Object.entries(colours).map(([name, colour]) => make("span", {}, make("span", { class: "dot", colour }), name.replaceAll("_", " ")))); }

function addMaps(parent) {
  const maps = make("div", { class: "maps" }), labels = series.places;
  parent.append(make("h2", {}, "Maps"), maps);
  const title = (frame) => `frame ${frame}, ${said.name[frame]}`;
  if (types.some(Boolean)) {
    new SeriesPlot(maps, ["Structure type ", key(series.colours)], "map", "Map of the structure type", "map-type", (plot) => drawMap(plot.place, column("x"), column("y"), types, labels, (i) => `${title(i)}: ${types[i].replaceAll("_", " ") || said.status[i]}`, series.colours));
  }
  const image = (name, values, figure, alternative, digits, unit) => new SeriesPlot(maps, name, "map", alternative, figure,
    (plot) => drawMap(plot.place, column("x"), column("y"), values.map((v) => Number.isFinite(v) && v !== null ? v : null), labels, (i) => `${title(i)}: ${Number.isFinite(values[i]) && values[i] !== null ? `${amount(values[i], digits)} ${unit}` : said.status[i]}`, null));
  for (const one of series.quantities) image(one.label, column(one.key), `map-${one.key}`, summary(`Map, ${one.title}`, one.key, one.unit, one.digits), one.digits, one.unit);
  Object.entries(series.shares).forEach(([name, values], place) => image(`Share of ${name}`, values, `map-phase-${place}`, `Map of the share of ${name}`, 2, ""));
}

function addPlots() {
  const parent = byId("plots"), one = (name) => series.quantities.filter(({ key: own }) => own === name);
  if (series.map) { addMaps(parent); parent.append(make("h2", {}, "Frame by frame")); }
  const heat = (title, residual, limit, figure, labelled) => { let image = null; new SeriesPlot(parent, title, "heat", `${title} of ${series.frames} frames over r from ${grid[0].toFixed(1)} to ${grid[grid.length - 1].toFixed(1)} Å, as colours`, figure,
    (plot) => { image ||= picture(curves, residual); drawHeat(plot.place, image, plot.x, plot.label, limit, lost, series.changes, labelled); }); };
  heat("Data G(r)", false, series.ranges.data, "data", true);
  heat("Residual: data minus fit", true, series.ranges.residual, "residual", false);
  const add = (quantity) => new SeriesPlot(parent, quantity.key === "probability" ? [`${quantity.title}, coloured by type`, numbers[quantity.second[0]] ? "; line: " : "", numbers[quantity.second[0]] ? quantity.second[1] : "", key(series.colours)] : quantity.label, "trend",
    summary(quantity.title, quantity.key, quantity.unit, quantity.digits), quantity.key, (plot) => trend(plot, quantity));
  one("diameter").forEach(add);
  if (Object.keys(series.shares).length) new SeriesPlot(parent, ["Shares of the phases (weight) ", key(series.phase_colours)], "trend", `Shares of the phases ${Object.keys(series.shares).join(", ")}`, "phases", shares);
  series.quantities.filter((quantity) => quantity.key !== "diameter").forEach(add);
}

// ---- change points, table, page

function addChanges() {
  if (!series.changes.length) { byId("changes").append(make("span", { class: "soft" }, "No change point was found.")); return; }
  byId("changes").append(make("h2", {}, series.changes.length === 1 ? "1 change point" : `${series.changes.length} change points`), make("ol", {}, series.changes.map((change, i) => make("li", {},
    make("button", { type: "button", title: change.kind, onclick: () => choose(change.frame) }, make("b", {}, `${i + 1} `), change.text || change.kind, make("span", { class: "soft" }, ` · frame ${change.frame} · probability ${change.probability.toFixed(2)}`))))));
}

const ROWS = 200;
const CELLS = [["frame", (i) => String(i)], ["file", (i) => said.name[i]], ...series.abscissae.filter(({ key: own }) => own !== "frame").map(({ key: own, label }) => [label, (i) => amount(value(own, i), 4)]),
  ["phase", typeMark], ["diameter (Å)", (i) => said.diameter[i]], ["Rw", (i) => Number.isFinite(value("rw", i)) ? value("rw", i).toFixed(4) : ""], ["probability", (i) => Number.isFinite(value("probability", i)) ? value("probability", i).toFixed(2) : ""],
  ["phases", (i) => (texts.phases || [])[i] || ""], ["status", (i) => make("span", { class: `status ${status[i]}` }, said.status[i])], ["message", (i) => said.message[i] || (texts.note || [])[i] || ""]];

function fillTable(first) {
  const last = Math.min(series.frames, first + ROWS), frames = Array.from({ length: last - first }, (_, i) => first + i);
  const page = (text, at, on) => make("button", { type: "button", disabled: !on, onclick: () => fillTable(at) }, text);
  document.querySelector("#all .body").replaceChildren(make("div", { class: "pages" }, page("earlier", first - ROWS, first > 0), `frames ${first} to ${last - 1} of ${series.frames}`, page("later", first + ROWS, last < series.frames)),
    make("div", { class: "scroll" }, make("table", { class: "candidates" }, make("thead", {}, make("tr", {}, CELLS.map(([head]) => make("th", {}, head)))), make("tbody", {}, frames.map((i) =>
      make("tr", { tabindex: 0, onclick: () => choose(i), onkeydown: (event) => { if (event.key === "Enter") choose(i); } }, CELLS.map(([, show]) => make("td", {}, show(i)))))))));
}

function addPage() {
  const { process } = series, thinned = series.step > 1 ? ` The page holds the curves of ${series.embedded} of ${series.frames} frames, about one in ${series.step}; all of them are in series.h5.` : "";
  byId("title").textContent = `Series ${series.directory}`;
  byId("counts").replaceChildren(`${series.frames.toLocaleString("en")} frames: ${series.counts}.${thinned} `, make("span", { class: "links" }, ["series.csv", "series.h5", ...(series.index ? ["index.html"] : [])].map((name) => make("a", { href: name, download: name !== "index.html" }, name))));
  byId("number").max = series.frames - 1;
  byId("against").append(...series.abscissae.map(({ key: own, label }) => make("option", { value: own, selected: own === against }, label)));
  byId("against-label").hidden = series.abscissae.length < 2;
  byId("against").addEventListener("change", () => { against = byId("against").value; for (const plot of plots) plot.again(); });
  byId("previous").addEventListener("click", () => choose(chosen - 1));
  byId("next").addEventListener("click", () => choose(chosen + 1));
  byId("number").addEventListener("change", () => choose(Math.round(Number(byId("number").value))));
  byId("all").addEventListener("toggle", () => { if (byId("all").open && !document.querySelector("#all table")) fillTable(ROWS * Math.floor(chosen / ROWS)); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: series.frames - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); choose(to); }
  });
  document.querySelector("#settings .body").append(make("pre", { class: "settings" }, `${process.program} ${process.version}, ${process.date}\n${JSON.stringify(process.settings, null, 2)}`));
  byId("footer").textContent = `Written by deepstruc-hpc ${series.version}. Click in any plot to see that frame; left and right arrow keys step. Drag to zoom, double click to zoom out. Bands: the interval of the diameter, else one standard uncertainty. Dashed lines: change points. Red crosses: frames without an answer. Rw = √(Σ(G_obs − G_calc)² / ΣG_obs²).`;
}

addPage();
addChanges();
const asked = Number((location.hash.match(/^#frame-(\d+)$/) || [])[1]);
chosen = asked < series.frames ? asked : 0;
showFrame();
addPlots();
