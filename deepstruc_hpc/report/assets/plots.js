"use strict";
// Decoding of packed numbers, and the two-dimensional figures.

const DATA = "#1f2937", CALCULATED = "#c0443a", DIFFERENCE = "#5f7f63", TERM = "#2a6fb0", GRID = "#edf0f3", SOFT = "#5b6472";
const FONT = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#374151" };
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const MISSING = 65535;

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function unpack(packed) {
  const bytes = bytesOf(packed.b), view = new DataView(bytes.buffer), out = new Float64Array(bytes.length / 2);
  for (let i = 0; i < out.length; i += 1) { const code = view.getUint16(2 * i, true); out[i] = code === MISSING ? NaN : packed.lo + packed.step * code; }
  return out;
}

function axis(title, more) {
  return { title: { text: title, font: { size: 13 } }, gridcolor: GRID, zeroline: false, linecolor: "#b8bec8", showline: true, ticks: "outside", tickcolor: "#b8bec8", ...more };
}

function drawFit(place, fit) {
  drawCurves(place, unpack(fit.r), unpack(fit.g_obs), unpack(fit.g_calc), { term: fit.g_term ? unpack(fit.g_term) : null });
}

// Data, fit and difference over r, and what lies beside the particle where there is such a term.
function drawCurves(place, r, observed, calculated, { term = null, config = CONFIG } = {}) {
  const difference = observed.map((g, i) => g - calculated[i]);
  const low = Math.min(...observed, ...calculated), high = Math.max(...observed, ...calculated);
  const shift = low - 0.1 * (high - low) - Math.max(...difference);
  const hover = "%{y:.4f} Å⁻²";
  return Plotly.react(place, [
    { x: r, y: observed, mode: "markers", name: "data", marker: { color: DATA, size: 3 }, hovertemplate: hover },
    { x: r, y: calculated, mode: "lines", name: "fit", line: { color: CALCULATED, width: 1.6 }, hovertemplate: hover },
    { x: r, y: difference.map((d) => d + shift), customdata: difference, mode: "lines", name: "difference", line: { color: DIFFERENCE, width: 1.2 }, hovertemplate: "%{customdata:.4f} Å⁻²" },
    ...(term ? [{ x: r, y: term, mode: "lines", name: "beside the particle", line: { color: TERM, width: 1.4 }, hovertemplate: hover }] : []),
  ], {
    font: FONT, margin: { l: 62, r: 10, t: 28, b: 44 }, hovermode: "x unified", legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", itemsizing: "constant" },
    xaxis: axis("r (Å)", { unifiedhovertitle: { text: "r = %{x:.2f} Å" } }), yaxis: axis("G(r) (Å⁻²)"),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: shift, y1: shift, line: { color: "#b8bec8", width: 1 } }],
  }, config);
}

// A picture with a legend below it grows with the legend's rows, so that they leave its axis alone.
function makeRoom(place, entries) { place.style.height = `${410 + 20 * Math.ceil(entries / Math.max(1, Math.floor(place.clientWidth / 180)))}px`; }

function drawSizes(place, sizes, colours, best, mark) {
  const n = unpack(sizes.n_atoms), rw = unpack(sizes.rw), type = unpack(sizes.type);
  const traces = sizes.types.map((name, k) => {
    const chosen = Array.from(type.keys()).filter((i) => Math.round(type[i]) === k);
    return { x: chosen.map((i) => Math.round(n[i])), y: chosen.map((i) => rw[i]), mode: "markers", name: name.replaceAll("_", " "), marker: { color: colours[name] || "#9aa1ab", size: 5, opacity: 0.7 },
      hovertemplate: "%{x} atoms, Rw %{y:.4f}" };
  });
  if (Number.isFinite(best.n_atoms)) traces.push({ x: [best.n_atoms], y: [best.rw], mode: "markers", name: mark, hoverinfo: "name", marker: { symbol: "circle-open", size: 14, color: "#111827", line: { width: 1.8 } } });
  makeRoom(place, traces.length);
  const low = Math.min(...rw), shown = Array.from(rw).sort((a, b) => a - b), high = shown[Math.floor(0.9 * (shown.length - 1))];
  Plotly.newPlot(place, traces, {
    font: FONT, margin: { l: 58, r: 10, t: 30, b: 44 }, hovermode: "closest", legend: { font: { size: 12 }, itemsizing: "constant", orientation: "h", x: 0, y: -0.2, yanchor: "top" },
    xaxis: axis("number of atoms"), yaxis: axis("Rw", { range: [low - 0.08 * (high - low || 1), high] }),
  }, CONFIG);
}

// Shares of the volume over diameters, with one standard uncertainty on either side.
function drawDiameters(place, table) {
  const d = unpack(table.diameter), share = unpack(table.share_by_volume), error = unpack(table.share_err);
  const edge = (sign) => Array.from(share, (s, i) => Math.max(0, s + sign * error[i]));
  const bare = { x: d, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return Plotly.newPlot(place, [
    { ...bare, y: edge(-1) }, { ...bare, y: edge(1), fill: "tonexty", fillcolor: "rgba(192, 68, 58, 0.18)" },
    { x: d, y: share, mode: "lines", line: { color: CALCULATED, width: 1.6 }, showlegend: false, hovertemplate: "%{y:.3f} at %{x:.1f} Å" },
  ], {
    font: FONT, margin: { l: 58, r: 10, t: 30, b: 44 }, hovermode: "closest", xaxis: axis("diameter (Å)"), yaxis: axis("share of the volume", { rangemode: "tozero" }),
  }, CONFIG);
}

// The curves of a folder above one another, each divided by its largest value, the first at the bottom.
function drawWaterfall(place, curves) {
  const traces = [];
  curves.forEach(({ name, fit }, level) => {
    const r = unpack(fit.r), observed = unpack(fit.g_obs), calculated = unpack(fit.g_calc), size = Math.max(...observed.map(Math.abs)) || 1;
    const raised = (values) => Array.from(values, (g) => g / size + level);
    traces.push({ x: r, y: raised(observed), mode: "lines", line: { color: DATA, width: 1.1 }, name, showlegend: false, hoverinfo: "name" });
    traces.push({ x: r, y: raised(calculated), mode: "lines", line: { color: CALCULATED, width: 1 }, name, showlegend: false, hoverinfo: "skip" });
  });
  const ticks = { tickmode: "array", tickvals: curves.map((_, level) => level), ticktext: curves.map(({ name }) => name), automargin: true, ticks: "" };
  Plotly.newPlot(place, traces, { font: FONT, margin: { l: 20, r: 10, t: 10, b: 44 }, xaxis: axis("r (Å)"), yaxis: axis("", { ...ticks, range: [-0.9, curves.length + 0.1] }) }, CONFIG);
}

function pointsByType(points) {
  const z1 = unpack(points.z1), z2 = unpack(points.z2), rw = unpack(points.rw), type = unpack(points.type);
  return points.types.map((name, k) => {
    const chosen = Array.from(type.keys()).filter((i) => Math.round(type[i]) === k);
    return { name, z1: chosen.map((i) => z1[i]), z2: chosen.map((i) => z2[i]), rw: chosen.map((i) => rw[i]) };
  });
}

function hoverWords(set, what) { return set.rw.map((rw) => `${what}: ${set.name || "structure"}${Number.isFinite(rw) ? `, Rw ${rw.toFixed(3)}` : ""}`); }

function ellipse(mean, level) {
  const x = [], y = [];
  for (let k = 0; k <= 72; k += 1) { x.push(mean.z1 + level * mean.std1 * Math.cos(k * Math.PI / 36)); y.push(mean.z2 + level * mean.std2 * Math.sin(k * Math.PI / 36)); }
  return { x, y, mode: "lines", line: { color: "#374151", width: 1, dash: "dot" }, name: `${level} σ`, hoverinfo: "name", showlegend: false };
}

function drawLatent(place, latent, colours, sigma) {
  const traces = [], shown = new Set();
  const legend = (name) => { const first = !shown.has(name); shown.add(name); return first; };
  for (const set of pointsByType(latent.catalog)) {
    traces.push({ x: set.z1, y: set.z2, text: hoverWords(set, "catalog"), hoverinfo: "text", mode: "markers", name: (set.name || "catalog").replaceAll("_", " "), legendgroup: set.name, showlegend: legend(set.name),
      marker: { color: colours[set.name] || "#9aa1ab", size: 5, opacity: 0.42 } });
  }
  for (const set of pointsByType(latent.samples)) {
    traces.push({ x: set.z1, y: set.z2, text: hoverWords(set, "sample"), hoverinfo: "text", mode: "markers", name: (set.name || "samples").replaceAll("_", " "), legendgroup: set.name, showlegend: legend(set.name),
      marker: { color: colours[set.name] || "#6b7280", size: 5.5, symbol: "diamond", opacity: 0.8, line: { color: "#1f2937", width: 0.5 } } });
  }
  for (const mean of latent.means) {
    if (Number.isFinite(mean.std1) && Number.isFinite(mean.std2)) for (const level of sigma) traces.push(ellipse(mean, level));
    traces.push({ x: [mean.z1], y: [mean.z2], mode: "markers", name: "prior mean", hoverinfo: "name", marker: { symbol: "cross-thin", size: 15, line: { width: 2.5, color: "#000" } } });
  }
  makeRoom(place, shown.size + 1);
  Plotly.newPlot(place, traces, {
    font: FONT, margin: { l: 52, r: 10, t: 30, b: 44 }, hovermode: "closest", legend: { font: { size: 12 }, itemsizing: "constant", orientation: "h", x: 0, y: -0.2, yanchor: "top" }, xaxis: axis("z₁"), yaxis: axis("z₂"),
  }, CONFIG);
}
