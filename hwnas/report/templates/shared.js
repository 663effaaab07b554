"use strict";
// What both pages use: data, elements, texts, colours and plots. Texts of a run reach the page as text nodes alone.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const faint = (hex, share) =>
  hex +
  Math.round(share * 255)
    .toString(16)
    .padStart(2, "0");
const OKABE_ITO = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8d969e"];
const ON_DARK = ["#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#f0e442", "#8d969e"]; // dark blue is too dark there
const series = (number) => (document.documentElement.dataset.theme === "dark" ? ON_DARK : OKABE_ITO)[number % OKABE_ITO.length];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const known = (value) => value !== null && value !== undefined;
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); // plotly reads tags

const counted = (value) => Math.round(value).toLocaleString("en-US");
const figures = (value) => (value === 0 ? "0" : String(Number(value.toPrecision(3))));
const percent = (value, decimals = 2) => `${(value * 100).toFixed(decimals)} %`;
const TEXTS = {
  percent,
  count: counted,
  tenths: (value) => value.toLocaleString("en-US", { maximumFractionDigits: 1 }),
  figures,
};

// A value of a network as text, with its 95 % interval where it has one.
function text(axis, network) {
  const value = network.values[axis.name];
  if (!known(value)) return "unknown";
  const [low, high] = interval(axis, network) || [];
  const unit = axis.unit === "1" ? "" : ` ${axis.unit}`;
  if (!known(low)) return TEXTS[axis.text](value) + unit;
  if (axis.text === "percent") return `${percent(value)} (${(low * 100).toFixed(1)} to ${(high * 100).toFixed(1)})`;
  return withInterval(value, high - value) + unit;
}

// As hwnas.report.interval writes it: one digit of the half-width, two where it begins with 1.
function withInterval(value, half) {
  if (!(half > 0)) return String(Number(value.toPrecision(4)));
  const first = Math.floor(Math.log10(half));
  const decimals = Math.max(0, (half < 2 * 10 ** first ? 1 : 0) - first);
  return `${value.toFixed(decimals)} ± ${half.toFixed(decimals)}`;
}

function interval(axis, network) {
  const ends = axis.interval.map((name) => network.values[name]);
  if (!ends.length || !ends.every(known)) return null;
  const value = network.values[axis.name];
  return ends.length === 2 ? ends : [value - ends[0], value + ends[0]];
}

// Columns of the data as networks.
function networksOf(columns) {
  const names = Object.keys(columns.values);
  return columns.id.map((id, place) => ({
    id,
    place,
    parents: columns.parents[place],
    operator: columns.operator[place],
    tuned: columns.tuned[id],
    generation: columns.generation[place],
    standing: columns.standing[place],
    isFront: Boolean(columns.front[place]),
    isTrained: Boolean(columns.trained[place]),
    isOriginal: Boolean(columns.original[place]),
    named: columns.named[id],
    failure: columns.failure[id],
    curve: columns.curve[place],
    seconds: columns.seconds[place],
    values: Object.fromEntries(names.map((name) => [name, columns.values[name][place]]).filter(([, value]) => known(value))),
  }));
}

// Plots look like the page, and are drawn again where its theme changes.
const drawn = new Map();
function plot(id, traces, layout = {}) {
  const place = typeof id === "string" ? byId(id) : id;
  if (!place) return null;
  drawn.set(place, () => plot(place, typeof traces === "function" ? traces : () => traces, layout));
  const made = typeof traces === "function" ? traces() : traces;
  const given = typeof layout === "function" ? layout() : layout;
  const line = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  const axes = Object.fromEntries(Object.entries(given).filter(([name]) => /^[xy]axis/.test(name)));
  for (const name of ["xaxis", "yaxis", ...Object.keys(axes)]) axes[name] = { ...line, ...axes[name] };
  Plotly.react(
    place,
    made,
    {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      height: 300,
      margin: { l: 60, r: 15, t: 30, b: 50 },
      font: { family: "system-ui, sans-serif", size: 12, color: colour("fg") },
      hoverlabel: { align: "left", bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("fg") } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      ...given,
      ...axes,
    },
    { responsive: true, displayModeBar: false },
  );
  return place;
}

const tickFormat = (axis) => ({ percent: "~%", count: "~s" })[axis.text];
const tickText = (axis, value) => (axis.text === "percent" ? `${figures(100 * value)} %` : Number(value.toPrecision(3)).toLocaleString("en-US"));

// Round values to mark along a logarithmic axis: powers of ten, 1-2-5, or even steps, whichever gives at least three.
function logTicks(values) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const within = (marks) => marks.filter((mark) => mark >= low * (1 - 1e-9) && mark <= high * (1 + 1e-9));
  const decades = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade += 1) decades.push(10 ** decade);
  if (Math.log10(high / low) > 2.5) return within(decades);
  const marks = within(decades.flatMap((decade) => [decade, 2 * decade, 5 * decade]));
  if (marks.length > 2) return marks;
  const raw = (high - low) / 4 || low,
    power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((digit) => digit * power >= raw * (1 - 1e-9));
  const even = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high * (1 + 1e-9); place += 1) even.push(place * step);
  return even.length ? even : [low];
}

// Logarithmic where the values span orders of magnitude; on a narrow screen there is room for powers of ten alone.
function scale(axis, networks) {
  const shape = { title: { text: escaped(axis.title) }, tickformat: tickFormat(axis), type: "linear" };
  const values = networks.map((network) => network.values[axis.name]);
  if (!axis.log || !values.length || !values.every((value) => value > 0)) return shape; // 0 would fall off
  if (Math.max(...values) / Math.min(...values) > 10) return { ...shape, type: "log", dtick: innerWidth < 600 ? 1 : "D2" };
  const marks = logTicks(values);
  return { ...shape, type: "log", tickvals: marks, ticktext: marks.map((value) => tickText(axis, value)) };
}

// Half-widths to both sides, for plotly; undefined where no network has an interval.
function bars(axis, networks, shade) {
  const ends = networks.map((network) => interval(axis, network));
  if (!ends.some(Boolean)) return undefined;
  const side = (sign, end) =>
    ends.map((pair, place) => (pair ? Math.max(0, sign * (pair[end] - networks[place].values[axis.name])) : 0));
  return {
    type: "data",
    symmetric: false,
    array: side(1, 1),
    arrayminus: side(-1, 0),
    color: faint(shade, 0.45),
    thickness: 1,
    width: 0,
  };
}

// A menu of axes: the run's objectives first.
function menu(select, axes, chosen) {
  const option = (axis) => el("option", { value: axis.name, textContent: axis.title, selected: axis.name === chosen });
  const others = axes.filter((axis) => !axis.own);
  select.replaceChildren(
    el("optgroup", { label: "objectives" }, axes.filter((axis) => axis.own).map(option)),
    ...(others.length ? [el("optgroup", { label: "also known" }, others.map(option))] : []),
  );
}

function showTheme() {
  const isDark = document.documentElement.dataset.theme === "dark";
  byId("theme").textContent = isDark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", isDark ? "Switch to light" : "Switch to dark");
}
byId("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  store("hwnas-theme", theme);
  showTheme();
  for (const [place, again] of drawn)
    if (place.isConnected) again();
    else drawn.delete(place);
});
showTheme();
