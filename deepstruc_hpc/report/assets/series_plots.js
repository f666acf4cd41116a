"use strict";
// Pictures, lines with bands and maps of a series. Each drawing gets its traces from numbers; texts that come from files pass through words().

const CHANGE = "#7a4fa3", LOST = "#b3382e", LINE = "#2a6fb0", EMPTY = "#d5d9de";
const DIVERGING = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];
const MOST_COLUMNS = 1500, MOST_ROWS = 300, MOST_WORDS = 8, MOST_LETTERS = 30, MOST_MARKERS = 2500;
const PLAIN = { ...CONFIG, displayModeBar: false };
const MARGIN = { l: 62, r: 74, t: 8, b: 38 };

// Plotly reads a few tags in texts; a text of a file shall have none.
function words(text) { return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"); }

function shortened(text) { return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text; }

// The place between a frame and the one before it.
function before(x, frame) { return frame > 0 && Number.isFinite(x[frame - 1]) ? (x[frame - 1] + x[frame]) / 2 : x[frame]; }

function changeLines(x, changes) {
  return changes.filter(({ frame }) => Number.isFinite(x[frame])).map((change) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: before(x, change.frame), x1: before(x, change.frame), line: { color: CHANGE, width: 1.2, dash: "dash" } }));
}

// Number and, where they are few, words of each change point, in three rows above the picture.
function changeLabels(x, changes) {
  return changes.map((change, i) => ({ x: before(x, change.frame), visible: Number.isFinite(x[change.frame]), y: 1, yref: "paper", yanchor: "bottom", xanchor: "left", yshift: changes.length > MOST_WORDS ? 0 : 14 * (i % 3), showarrow: false, align: "left", captureevents: true,
    text: words(changes.length > MOST_WORDS ? `${i + 1}` : `${i + 1} ${shortened(change.text)}`), hovertext: words(change.text), font: { size: 11, color: CHANGE } }));
}

// Curves of the page as columns of a picture: every n-th one, and points averaged.
function picture(curves, residual) {
  const r = unpack(curves.r), step = Math.ceil(curves.frames.length / MOST_COLUMNS), group = Math.ceil(r.length / MOST_ROWS), rows = Math.floor(r.length / group);
  const columns = [...curves.frames.keys()].filter((i) => i % step === 0), z = Array.from({ length: rows }, () => new Float32Array(columns.length).fill(NaN)), at = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) for (let k = 0; k < group; k += 1) at[row] += r[row * group + k] / group;
  columns.forEach((i, column) => {
    if (!curves.data[i] || (residual && !curves.fit[i])) return;
    const values = unpack(curves.data[i]);
    if (residual) unpack(curves.fit[i]).forEach((g, k) => { values[k] -= g; });
    for (let row = 0; row < rows; row += 1) { let sum = 0; for (let k = 0; k < group; k += 1) sum += values[row * group + k]; z[row][column] = sum / group; }
  });
  return { z, r: at, frames: columns.map((i) => curves.frames[i]) };
}

// From half a step before the first to half a step after the last, so that plots below one another have the same axis.
function spanOf(x) {
  const known = x.filter(Number.isFinite), low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity), margin = ((high - low) / Math.max(1, known.length - 1) || 1) / 2;
  return [low - margin, high + margin];
}

// Half a frame is the reach of the mouse: a click between the frames still finds one, and no frame far away speaks.
function layout(x, title, label, more) {
  return { font: { ...FONT, size: 12 }, margin: MARGIN, hovermode: "x", hoverdistance: 4 + Math.ceil(500 / x.length), showlegend: false, xaxis: axis(words(label), { hoverformat: ".6~g", range: spanOf(x) }), yaxis: axis(title, {}), ...more };
}

function drawHeat(place, image, x, label, limit, lost, changes, labelled) {
  const many = changes.length > MOST_WORDS, top = changes.length && labelled ? (many ? 20 : 10 + 14 * Math.min(3, changes.length)) : 8;
  const crossed = lost.filter(({ frame }) => Number.isFinite(x[frame])), placed = [...image.frames.keys()].filter((i) => Number.isFinite(x[image.frames[i]])), frames = placed.map((i) => image.frames[i]);
  const z = placed.length === image.frames.length ? image.z : image.z.map((row) => placed.map((i) => row[i]));
  return Plotly.newPlot(place, [
    { type: "heatmap", x: frames.map((frame) => x[frame]), y: image.r, z, zmin: -limit, zmax: limit, colorscale: DIVERGING, zsmooth: false, meta: frames, hoverongaps: true,
      colorbar: { thickness: 11, len: 1, x: 1.005, xpad: 2, outlinewidth: 0, title: { text: "Å⁻²", side: "top", font: { size: 11 } }, tickfont: { size: 11 } }, hovertemplate: `${words(label)} %{x:.6~g}, r %{y:.2f} Å: %{z:.3f} Å⁻²<extra></extra>` },
    { x: crossed.map(({ frame }) => x[frame]), y: crossed.map(() => image.r[2]), mode: "markers", marker: { symbol: "x-thin", size: 7, line: { width: 1.4, color: LOST } }, cliponaxis: false, hoverinfo: "skip" },
  ], layout(x, "r (Å)", label, { hovermode: "closest", plot_bgcolor: EMPTY, margin: { ...MARGIN, t: top }, yaxis: axis("r (Å)", { range: [image.r[0], image.r[image.r.length - 1]] }),
    shapes: changeLines(x, changes), annotations: labelled ? changeLabels(x, changes) : [] }), PLAIN);
}

function barTrace(frames, x, low, high, value) {
  return { x: frames.map((i) => x[i]), y: frames.map((i) => value[i]), mode: "markers", marker: { size: 1, color: LINE }, hoverinfo: "skip",
    error_y: { type: "data", symmetric: false, array: frames.map((i) => high[i] - value[i]), arrayminus: frames.map((i) => value[i] - low[i]), thickness: 0.8, width: 0, color: "rgba(42,111,176,0.35)" } };
}

// The band of a line's uncertainty. Where the frames go back in what they are drawn against, it would cross itself: bars instead, and for a frame that stands alone.
function bandTraces(x, low, high, rises, value) {
  const known = [...x.keys()].filter((i) => Number.isFinite(low[i]) && Number.isFinite(high[i]) && Number.isFinite(x[i]) && high[i] > low[i]);
  if (!known.length) return [];
  if (!rises) return [barTrace(known, x, low, high, value)];
  const runs = [];
  known.forEach((i, k) => { if (k === 0 || known[k - 1] !== i - 1) runs.push([]); runs[runs.length - 1].push(i); });
  const px = [], py = [], alone = runs.filter((run) => run.length === 1).flat();
  for (const run of runs) { for (const i of run) { px.push(x[i]); py.push(high[i]); } for (const i of run.reverse()) { px.push(x[i]); py.push(low[i]); } px.push(null); py.push(null); }
  return [{ x: px, y: py, mode: "lines", fill: "toself", fillcolor: "rgba(42,111,176,0.22)", line: { width: 0 }, hoverinfo: "skip" }, ...(alone.length ? [barTrace(alone, x, low, high, value)] : [])];
}

function lineTrace(x, y, name, colour, digits, markers) {
  return { x, y, name, mode: markers ? "lines+markers" : "lines", line: { color: colour, width: 1.2 }, marker: { size: 3.4, color: colour }, hovertemplate: `%{y:.${digits}f}<extra>${words(name)}</extra>`, connectgaps: false };
}

// Frames without an answer: crosses at the foot of the plot, on an axis of their own.
function lostTrace(x, lost) {
  return { x: lost.map(({ frame }) => x[frame]), y: lost.map(() => 0), yaxis: "y2", mode: "markers", marker: { symbol: "x-thin", size: 7, line: { width: 1.4, color: LOST } }, cliponaxis: false, customdata: lost.map(({ frame }) => frame),
    text: lost.map(({ words: said }) => words(said.length > 90 ? `${said.slice(0, 89)}…` : said)), hovertemplate: "%{text}<extra></extra>" };
}

function drawTrend(place, traces, title, label, x, lost, changes, more) {
  const foot = { overlaying: "y", range: [-0.02, 1], visible: false, fixedrange: true };
  return Plotly.newPlot(place, [...traces, ...(lost.length ? [lostTrace(x, lost)] : [])], layout(x, title, label, { yaxis2: foot, shapes: changeLines(x, changes), ...more }), PLAIN);
}

// A quantity at the places of the frames, as squares of the map's own step.
function drawMap(place, x, y, values, labels, text, types) {
  const known = [...values.keys()].filter((i) => values[i] !== null && values[i] !== "" && Number.isFinite(x[i]) && Number.isFinite(y[i])), isKnown = new Set(known);
  const empty = [...values.keys()].filter((i) => !isKnown.has(i) && Number.isFinite(x[i]) && Number.isFinite(y[i]));
  const colour = types ? { color: known.map((i) => types[values[i]] || "#9aa1ab") } : { color: known.map((i) => values[i]), colorscale: "Viridis", showscale: true, colorbar: { thickness: 10, x: 1.01, xpad: 2, outlinewidth: 0, tickfont: { size: 11 } } };
  const size = squareSize(place, x, y);
  return Plotly.newPlot(place, [
    { x: known.map((i) => x[i]), y: known.map((i) => y[i]), mode: "markers", marker: { symbol: "square", size, line: { width: 0 }, ...colour }, customdata: known, text: known.map((i) => words(text(i))), hovertemplate: "%{text}<extra></extra>" },
    { x: empty.map((i) => x[i]), y: empty.map((i) => y[i]), mode: "markers", marker: { symbol: "x-thin", size: Math.min(9, size), line: { width: 1.4, color: LOST } }, customdata: empty, text: empty.map((i) => words(text(i))), hovertemplate: "%{text}<extra></extra>" },
  ], { font: { ...FONT, size: 12 }, margin: { l: 54, r: types ? 12 : 60, t: 8, b: 38 }, hovermode: "closest", showlegend: false, xaxis: axis(words(labels.x), { showgrid: false }), yaxis: axis(words(labels.y), { scaleanchor: "x", scaleratio: 1, showgrid: false }) }, PLAIN);
}

// Pixels of a square, so that squares of a full grid about touch.
function squareSize(place, x, y) {
  const apart = (values) => { const known = [...new Set(values.filter(Number.isFinite).map((v) => Number(v.toPrecision(4))))].sort((a, b) => a - b), steps = known.slice(1).map((v, i) => v - known[i]).sort((a, b) => a - b); return { span: known[known.length - 1] - known[0], step: steps[steps.length >> 1] }; };
  const across = apart(x), up = apart(y), step = Math.min(across.step, up.step), width = (place.clientWidth || 300) - 120, height = (place.clientHeight || 290) - 50;
  return Math.max(4, Math.floor(0.9 * Math.min(width / (across.span / step + 2), height / (up.span / step + 2))));
}

// The mark of the chosen frame lies above a plot as an element of its own: moving it is free, while plotly would draw the plot again. A line over
// the height of a plot, or, of a map, a frame around the square.
function placeMark(place, mark, x, y) {
  const { xaxis, yaxis } = place._fullLayout;
  if (y === null) { centre(mark, within(xaxis, x), xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis._length / 2, 1.5, yaxis._length); return; }
  const size = place.data[0].marker.size + 3;
  centre(mark, within(xaxis, x) && within(yaxis, y), xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y), size, size);
}

// A ring about the value of the chosen frame: where the frames go back, a line alone does not say which of them is meant.
function placeRing(place, ring, x, y) {
  const { xaxis, yaxis } = place._fullLayout;
  centre(ring, within(xaxis, x) && within(yaxis, y), xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y), 11, 11);
}

function within(axis_, value_) { const at = axis_.l2p(value_); return Number.isFinite(at) && at >= -1 && at <= axis_._length + 1; }

function centre(element, shown, x, y, width, height) {
  Object.assign(element.style, { display: shown ? "block" : "none", left: `${x - width / 2}px`, top: `${y - height / 2}px`, width: `${width}px`, height: `${height}px` });
}
