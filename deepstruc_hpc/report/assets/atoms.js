"use strict";
// Spheres on a 2-D canvas, back to front, that turn under the mouse. No WebGL: ten views a section work on any screen and over remote desktops.

const ELEMENTS = {
  H: ["#e8e8e8", 0.5], C: ["#6b6b6b", 0.76], N: ["#4a6fd6", 0.71], O: ["#d9453c", 0.66], S: ["#d9b92e", 1.05], Al: ["#b8a7a7", 1.43], Si: ["#d8b98a", 1.11],
  Ti: ["#a9adb3", 1.47], V: ["#8f95a8", 1.34], Cr: ["#7f90c0", 1.28], Mn: ["#8f76b8", 1.27], Fe: ["#cf7440", 1.26], Co: ["#d07a92", 1.25], Ni: ["#5fae6a", 1.24],
  Cu: ["#c57a45", 1.28], Zn: ["#7d80b0", 1.34], Y: ["#7fc4c4", 1.8], Zr: ["#8fbfbf", 1.6], Nb: ["#76b5b8", 1.46], Mo: ["#5fa8aa", 1.39], Tc: ["#4f9a9e", 1.36],
  Ru: ["#3f8d90", 1.34], Rh: ["#3a8096", 1.34], Pd: ["#4a7f97", 1.37], Ag: ["#b9c0c7", 1.44], Cd: ["#d8c26e", 1.51], Sn: ["#6f8f8f", 1.4], Ce: ["#dccf8f", 1.83],
  Hf: ["#6fb0d8", 1.59], Ta: ["#6f9fd8", 1.46], W: ["#5f86c0", 1.39], Re: ["#5a7fae", 1.37], Os: ["#4f74a0", 1.35], Ir: ["#446a96", 1.36], Pt: ["#a7b0bd", 1.39],
  Au: ["#e2b13c", 1.44], Hg: ["#b3b3c6", 1.51], Pb: ["#6b6f78", 1.75], U: ["#6aa86a", 1.56],
};
const COORDINATION = ["#8c2f39", "#b64a3c", "#d4713f", "#e59a52", "#eec27a", "#e9dca6", "#c9dcae", "#9cc7a5", "#6daea0", "#4a8f9b", "#3a6f93", "#33507f", "#2c3566"];
const MOST_COORDINATION = COORDINATION.length - 1;

function elementStyle(symbol) { return ELEMENTS[symbol] || ["#9c8fb8", 1.4]; }

function decodeAtoms(atoms) {
  const xyz = unpack(atoms.xyz), symbols = [];
  for (const [symbol, count] of atoms.symbols) for (let i = 0; i < count; i += 1) symbols.push(symbol);
  return { xyz, symbols, get bonded() { this.counted ??= neighbours(xyz, symbols); return this.counted; } };
}

// Number of neighbours within 1.2 times the shortest distance of an atom pair of these elements. Counted when it is first shown: crystals have thousands of atoms.
function neighbours(xyz, symbols) {
  const n = symbols.length, counts = new Array(n).fill(0), shortest = {};
  const kinds = [...new Set(symbols)], kind = symbols.map((symbol) => kinds.indexOf(symbol));
  const pair = (i, j) => kind[i] < kind[j] ? kind[i] * kinds.length + kind[j] : kind[j] * kinds.length + kind[i];
  const d2 = (i, j) => (xyz[3 * i] - xyz[3 * j]) ** 2 + (xyz[3 * i + 1] - xyz[3 * j + 1]) ** 2 + (xyz[3 * i + 2] - xyz[3 * j + 2]) ** 2;
  for (let i = 0; i < n; i += 1) for (let j = 0; j < i; j += 1) { const key = pair(i, j), d = d2(i, j); if (!(d > shortest[key])) shortest[key] = d; }
  const least = Math.min(...Object.values(shortest));
  for (let i = 0; i < n; i += 1) for (let j = 0; j < i; j += 1) {
    const reach = Math.min(shortest[pair(i, j)], 1.7 * least);
    if (d2(i, j) < 1.44 * reach) { counts[i] += 1; counts[j] += 1; }
  }
  return counts;
}

function multiply(a, b) {
  const out = [];
  for (let i = 0; i < 3; i += 1) for (let j = 0; j < 3; j += 1) out.push(a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j]);
  return out;
}

function turn(ax, ay) {
  const [cx, sx, cy, sy] = [Math.cos(ax), Math.sin(ax), Math.cos(ay), Math.sin(ay)];
  return multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], [cy, 0, sy, 0, 1, 0, -sy, 0, cy]);
}

const sprites = new Map();
function sprite(colour) {
  if (!sprites.has(colour)) {
    const size = 96, canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const ink = canvas.getContext("2d"), light = ink.createRadialGradient(size * 0.36, size * 0.32, size * 0.03, size * 0.5, size * 0.5, size * 0.5);
    light.addColorStop(0, mix(colour, "#ffffff", 0.72));
    light.addColorStop(0.38, mix(colour, "#ffffff", 0.12));
    light.addColorStop(0.86, mix(colour, "#000000", 0.22));
    light.addColorStop(1, mix(colour, "#000000", 0.5));
    ink.fillStyle = light;
    ink.beginPath(); ink.arc(size / 2, size / 2, size / 2 - 1, 0, 2 * Math.PI); ink.fill();
    sprites.set(colour, canvas);
  }
  return sprites.get(colour);
}

function mix(a, b, share) {
  const part = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  return "#" + [0, 1, 2].map((i) => Math.round(part(a, i) * (1 - share) + part(b, i) * share).toString(16).padStart(2, "0")).join("");
}

// One scale for all views of a section, so that sizes compare; what is much larger than the middle one is shrunk to its own view.
function sameScale(views) {
  const reaches = views.map((view) => view.reach).sort((a, b) => a - b), common = Math.min(reaches[reaches.length - 1], 1.5 * reaches[reaches.length >> 1]);
  for (const view of views) { view.reach = Math.max(view.reach, common); view.draw(); }
}

class AtomView {
  constructor(canvas, atoms, options) {
    this.canvas = canvas; this.atoms = decodeAtoms(atoms); this.options = options; this.zoom = 1; this.home = multiply(turn(-0.35, 0), turn(0, 0.5)); this.rotation = this.home;
    const xyz = this.atoms.xyz;
    let reach = 0;
    for (let i = 0; i < xyz.length; i += 3) reach = Math.max(reach, Math.hypot(xyz[i], xyz[i + 1], xyz[i + 2]));
    this.reach = reach + 1.5;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.last = [event.clientX, event.clientY]; });
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", () => { this.last = null; });
    canvas.addEventListener("pointercancel", () => { this.last = null; });
    canvas.addEventListener("dblclick", () => { this.rotation = this.home; this.zoom = 1; this.draw(); });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault(); this.zoom = Math.min(6, Math.max(0.5, this.zoom * Math.exp(-event.deltaY / 400))); this.draw();
    }, { passive: false });
    canvas.tabIndex = 0;
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -0.1], ArrowRight: [0, 0.1], ArrowUp: [-0.1, 0], ArrowDown: [0.1, 0] }[event.key];
      if (step) { event.preventDefault(); this.rotation = multiply(turn(...step), this.rotation); this.draw(); }
    });
    this.draw();
  }

  drag(event) {
    if (!this.last) return;
    const [dx, dy] = [event.clientX - this.last[0], event.clientY - this.last[1]];
    this.last = [event.clientX, event.clientY];
    this.rotation = multiply(turn(dy / 120, dx / 120), this.rotation);
    this.draw();
  }

  colour(i) {
    if (this.options.colour === "coordination") return COORDINATION[Math.min(MOST_COORDINATION, this.atoms.bonded[i])];
    return elementStyle(this.atoms.symbols[i])[0];
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = Math.round(this.canvas.clientWidth * ratio);
    if (!width) return;
    if (this.canvas.width !== width) this.canvas.width = this.canvas.height = width;
    const ink = this.canvas.getContext("2d"), { xyz, symbols } = this.atoms, m = this.rotation, scale = (0.5 * width / this.reach) * this.zoom;
    ink.clearRect(0, 0, width, width);
    const order = symbols.map((_, i) => [xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]])
      .map(([x, y, z], i) => [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z, i]);
    order.sort((a, b) => a[2] - b[2]);
    for (const [x, y, z, i] of order) {
      const near = 1 + 0.12 * z / this.reach, r = 0.88 * elementStyle(symbols[i])[1] * scale * near;
      const left = width / 2 + x * scale * near - r, top = width / 2 - y * scale * near - r;
      ink.globalAlpha = 1;
      ink.drawImage(sprite(mix(this.colour(i), "#ffffff", Math.max(0, 0.42 * (0.5 - 0.5 * z / this.reach)))), left, top, 2 * r, 2 * r);
    }
  }
}
