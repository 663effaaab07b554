"use strict";
// The page of one run: which networks are shown, which one is chosen, and what the plots and the table make of it.
const networks = networksOf(data.networks);
const all = new Map(networks.map((network) => [network.id, network]));
const axes = data.axes, axisOf = Object.fromEntries(axes.map((axis) => [axis.name, axis]));
const own = axes.filter((axis) => axis.own);
const state = { chosen: null, across: (own.find((axis) => axis.name !== "error") || own[0])?.name, up: "error", within: {} };

const isWithin = (network) => Object.entries(state.within).every(([name, ranges]) => {
  const value = network.values[name];
  return known(value) && ranges.some(([low, high]) => value >= low && value <= high);
});
const isTried = (network) => ["front", "dominated"].includes(network.standing) || network.standing.includes(" above ");
const shown = () => networks.filter((network) => (network.isFront || byId("all").checked) && isTried(network) && isWithin(network));
const placed = (list) => list.filter((network) => known(network.values[state.across]) && known(network.values[state.up]));

function hover(network) {
  const lines = [`<b>${escaped(network.id)}</b> ${escaped(network.isFront ? "front" : network.standing)}`, escaped(network.operator) + (network.parents.length ? ` of ${escaped(network.parents[0])}` : "")];
  return [...lines, ...own.map((axis) => `${escaped(axis.label)} ${escaped(text(axis, network))}`)].join("<br>");
}

function points(list, name, marker, withBars) {
  const [across, up] = [axisOf[state.across], axisOf[state.up]];
  return { x: list.map((n) => n.values[across.name]), y: list.map((n) => n.values[up.name]), customdata: list.map((n) => n.id),
    text: list.map(hover), hovertemplate: "%{text}<extra></extra>", mode: "markers", name, marker,
    ...(withBars ? { error_x: bars(across, list, marker.color), error_y: bars(up, list, marker.color) } : {}) };
}

function ancestors(network) {
  const found = [];
  for (let at = network; at; at = all.get(at.parents[0])) found.push(at);
  return placed(found);
}

function tradeOffs() {
  const list = placed(shown()), chosen = all.get(state.chosen);
  const marked = (n) => n.isTrained || n.isOriginal;
  const groups = [
    points(list.filter((n) => !n.isFront && !marked(n)), "not on the front", { color: colour("other"), size: 6, opacity: 0.45 }),
    points(list.filter((n) => n.isFront && !marked(n)), "front", { color: colour("front"), size: 9 }, true),
    points(list.filter((n) => n.isTrained), "trained to the end", { color: colour("trained"), size: 10, symbol: "diamond" }, true),
    points(list.filter((n) => n.isOriginal), "the original network", { color: colour("original"), size: 14, symbol: "star" }, true),
  ].filter((trace) => trace.x.length);
  const line = chosen ? ancestors(chosen) : [];
  return [...groups, { ...points(line, "its ancestors", { size: 1 }), mode: "lines", line: { color: colour("muted"), width: 1, dash: "dot" }, hoverinfo: "skip", hovertemplate: null, showlegend: line.length > 1 },
    { ...points(chosen ? placed([chosen]) : [], "chosen", { size: 17, color: "rgba(0,0,0,0)", line: { color: colour("chosen"), width: 2 } }), hoverinfo: "skip", hovertemplate: null, showlegend: false }];
}

// A limit far beyond every network would press them into a corner: then it is left out.
function limitLines(list) {
  return [["across", "x"], ["up", "y"]].flatMap(([which, letter]) => {
    const axis = axisOf[state[which]], most = Math.max(...list.map((n) => n.values[axis.name]));
    if (!known(axis.limit) || axis.limit > 1.5 * most) return [];
    const other = letter === "x" ? "y" : "x";
    return [{ type: "line", [`${letter}0`]: axis.limit, [`${letter}1`]: axis.limit, [`${letter}ref`]: letter, [`${other}0`]: 0, [`${other}1`]: 1, [`${other}ref`]: `${other} domain`,
      line: { color: colour("worse"), width: 1.5, dash: "dash" }, label: { text: `limit ${TEXTS[axis.text](axis.limit)}`, textposition: "end", font: { color: colour("worse"), size: 11 } } }];
  });
}

function drawTradeOffs() {
  remember();
  const list = () => placed(shown());
  plot("trade-offs", tradeOffs, () => ({ height: 460, hovermode: "closest", xaxis: scale(axisOf[state.across], list()), yaxis: scale(axisOf[state.up], list()), shapes: limitLines(list()) }));
}

// Parallel coordinates: one axis for each objective; what is drawn along one is a filter.
function parallelList() { return networks.filter((n) => (n.isFront || byId("all").checked) && isTried(n) && own.every((axis) => known(n.values[axis.name]))); }
const isLog = (axis, list) => axis.log && list.every((network) => network.values[axis.name] > 0);

function ticks(low, high) {
  const found = [];
  for (let decade = Math.floor(low); decade <= high; decade += 1) for (const digit of high - low > 2.5 ? [1] : [1, 2, 5]) {
    const value = decade + Math.log10(digit);
    if (value >= low - 1e-9 && value <= high + 1e-9) found.push(value);
  }
  return found;
}

function dimension(axis, list) {
  const log = isLog(axis, list), to = (value) => (log ? Math.log10(value) : value);
  const values = list.map((n) => to(n.values[axis.name]));
  const marks = log ? ticks(Math.min(...values), Math.max(...values)) : [];
  const range = (state.within[axis.name] || []).map((pair) => pair.map((end) => Math.min(1e15, Math.max(-1e15, end > 0 || !log ? to(end) : -1e15))));
  return { label: escaped(axis.title), values, ...(log && marks.length > 1 ? { tickvals: marks, ticktext: marks.map((v) => (axis.text === "percent" ? `${figures(100 * 10 ** v)} %` : Number((10 ** v).toPrecision(3)).toLocaleString("en-US"))) } : { tickformat: axis.text === "percent" ? "~%" : "~s" }),
    ...(range.length ? { constraintrange: range.length === 1 ? range[0] : range } : {}) };
}

function drawParallel() {
  const list = parallelList();
  if (list.length < 2) return;  // nothing to compare
  byId("parallel").style.minWidth = `${8.5 * own.length}rem`;
  const shade = (n) => (n.isFront ? 1 : 0);
  plot("parallel", () => [{ type: "parcoords", dimensions: own.map((axis) => dimension(axis, list)), labelfont: { size: 12 }, unselected: { line: { color: colour("line"), opacity: 0.25 } },
    line: { color: list.map(shade), cmin: 0, cmax: 1, colorscale: [[0, faint(colour("other"), 0.4)], [1, colour("front")]] } }], () => ({ height: 300, margin: { l: 60, r: 60, t: 60, b: 20 } }));
}

function brushed() {
  const list = parallelList(), dimensions = byId("parallel").data[0].dimensions;
  state.within = {};
  own.forEach((axis, place) => {
    const range = dimensions[place].constraintrange;
    if (!range?.length) return;
    const pairs = Array.isArray(range[0]) ? range : [range];
    state.within[axis.name] = isLog(axis, list) ? pairs.map((pair) => pair.map((end) => 10 ** end)) : pairs;
  });
  fillLimits();
  filtered();
}

function filtered() {
  drawTradeOffs();
  for (const row of document.querySelectorAll("#front tbody tr")) row.hidden = !isWithin(all.get(row.dataset.id));
  const front = networks.filter((network) => network.isFront);
  byId("left").textContent = Object.keys(state.within).length ? `${front.filter(isWithin).length} of ${front.length} networks of the front are left.` : "";
}

function limitFields() {
  const field = (axis) => {
    const input = el("input", { type: "number", min: "0", step: "any", name: axis.name, "aria-label": `at most, ${axis.title}` });
    input.addEventListener("change", () => {
      const most = input.value === "" ? null : Number(input.value) / (axis.text === "percent" ? 100 : 1);
      if (most === null) delete state.within[axis.name]; else state.within[axis.name] = [[0, most]];
      if (byId("parallel").data) drawParallel();
      filtered();
    });
    return el("label", {}, `${axis.label} ≤ `, input, axis.text === "percent" ? " %" : axis.unit === "1" ? "" : ` ${axis.unit}`);
  };
  const reset = el("button", { type: "button", textContent: "No filter" });
  reset.addEventListener("click", () => { state.within = {}; fillLimits(); if (byId("parallel").data) drawParallel(); filtered(); });
  byId("limits").replaceChildren(...own.map(field), reset);
}

function fillLimits() {
  for (const axis of own) {
    const most = Math.max(...(state.within[axis.name] || []).flat());
    byId("limits").elements[axis.name].value = Number.isFinite(most) ? Number((most * (axis.text === "percent" ? 100 : 1)).toPrecision(4)) : "";
  }
}

function sortable(table) {
  const body = table.tBodies[0], original = [...body.rows];
  const number = (cell) => { const found = parseFloat(cell.textContent.replace(/,/g, "")); return Number.isNaN(found) ? Infinity : found; };
  [...table.tHead.rows[0].cells].forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const order = head.ariaSort === "ascending" ? "descending" : "ascending", sign = order === "ascending" ? 1 : -1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const isNumber = head.classList.contains("number") || original.some((row) => /^[\d,.]+ ±/.test(row.cells[column].textContent));
    body.append(...[...body.rows].sort((a, b) => sign * (isNumber ? number(a.cells[column]) - number(b.cells[column])
      : a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true }))));
  }));
  body.addEventListener("click", (event) => { const row = event.target.closest("tr"); if (row) choose(row.dataset.id); });
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    let row = step && event.target.closest("tr")[step];
    while (row && row.hidden) row = row[step];
    if (row) { event.preventDefault(); row.querySelector("a").focus(); choose(row.dataset.id); }
  });
}

function choose(id) {
  if (!all.has(id)) return;
  if (state.chosen !== id || !byId("chosen").querySelector("h2")) {
    state.chosen = id;
    if (decodeURIComponent(location.hash.slice(1)) !== id) history.pushState(null, "", `#${encodeURIComponent(id)}`);
    for (const row of document.querySelectorAll("#front tbody tr")) row.classList.toggle("chosen", row.dataset.id === id);
    const network = all.get(id), list = neighbours();
    const go = (words, step) => { const made = el("button", { type: "button", textContent: words }); made.addEventListener("click", () => move(step)); return made; };
    const [heading, ...others] = details(network, all, axes);
    byId("chosen").replaceChildren(el("div", { className: "steps" }, heading, el("span", {}, go("◀", -1), " ", go("▶", 1))), ...others);
    byId("chosen").querySelectorAll(".steps button").forEach((button, place) => { button.setAttribute("aria-label", place ? "next network" : "previous network"); button.disabled = list.length < 2; });
    drawTradeOffs();
  }
}

// The networks that the arrow keys go through, along the axis across: the front, and no other.
function neighbours() { return placed(shown()).filter((n) => n.isFront || n.isTrained || n.isOriginal).sort((a, b) => a.values[state.across] - b.values[state.across]); }
function move(step) {
  const list = neighbours(), at = list.findIndex((n) => n.id === state.chosen);
  if (list.length) choose(list[at < 0 ? 0 : (at + step + list.length) % list.length].id);
}

function campaignsTable() {
  const head = ["model", "format", "faults in", "fault", "mean drop in points", "faults that cost over a point", "device at 1e-6, points", "faults tried"];
  const range = (each, digits = figures) => `${digits(each.value)} (${digits(each.low)} to ${digits(each.high)})`;
  const rows = data.campaigns.filter((campaign) => campaign.single).map(({ model, dtype, target, fault, single }) => [all.has(model) ? el("a", { href: `#${model}`, textContent: model }) : model, dtype, target, fault,
    range(single.drop), range(single.critical, (value) => percent(value, 1)), range(single.device_drop), counted(single.faults)]);
  byId("faults-table").replaceChildren(...(rows.length ? [el("thead", {}, el("tr", {}, head.map((words) => el("th", { scope: "col", textContent: words })))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))] : []));
}

function drawProgress() {
  const { used_s, generation, hypervolume, front, best } = data.progress, minutes = used_s.map((s) => s / 60);
  const words = generation.map((each, place) => `generation ${each}, ${counted(used_s[place])} s, ${front[place]} networks on the front`);
  const step = (y) => () => [{ x: minutes, y, mode: "lines+markers", line: { color: colour("front"), shape: "hv" }, marker: { size: 5 }, text: words, hovertemplate: "%{text}<br>%{y}<extra></extra>" }];
  const xaxis = { title: { text: "minutes of search" }, rangemode: "tozero" };
  plot("hypervolume", step(hypervolume), { xaxis, yaxis: { title: { text: "hypervolume" }, rangemode: "tozero" } });
  plot("best", step(best), { xaxis, yaxis: { title: { text: "least validation error" }, tickformat: "~%", rangemode: "tozero" } });
}

// A page of a run at work loads itself again: what its reader had set stays.
const MEMORY = document.querySelector("meta[http-equiv=refresh]") && `hwnas ${location.pathname}`;

function remember() {
  const { across, up, within } = state;
  if (MEMORY) try { sessionStorage.setItem(MEMORY, JSON.stringify({ across, up, within, all: byId("all").checked })); } catch { /* no storage here */ }
}

function recall() {
  let found = null;
  if (MEMORY) try { found = JSON.parse(sessionStorage.getItem(MEMORY)); } catch { /* no storage here */ }
  if (!found) return;
  for (const which of ["across", "up"]) if (axisOf[found[which]]) state[which] = found[which];
  state.within = Object.fromEntries(Object.entries(found.within).filter(([name]) => own.some((axis) => axis.name === name)));
  byId("all").checked = found.all;
}

function begin() {
  recall();
  menu(byId("across"), axes, state.across);
  menu(byId("up"), axes, state.up);
  for (const which of ["across", "up"]) byId(which).addEventListener("change", () => { state[which] = byId(which).value; drawTradeOffs(); });
  byId("all").addEventListener("change", () => { if (byId("parallel").data) drawParallel(); filtered(); });
  limitFields();
  fillLimits();
  filtered();
  sortable(byId("front"));
  byId("trade-offs").on("plotly_click", (event) => { const id = event.points[0].customdata; if (id) choose(id); });
  byId("trade-offs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); move(step); }
  });
  const linked = decodeURIComponent(location.hash.slice(1));
  const knee = networks.find((network) => network.named?.includes("balanced"));
  choose(all.has(linked) ? linked : knee?.id);
  window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
  window.addEventListener("popstate", () => choose(decodeURIComponent(location.hash.slice(1))));
  whenSeen("hypervolume", drawProgress);
  whenSeen("parallel", () => { drawParallel(); byId("parallel").on?.("plotly_restyle", brushed); });
}

// What is further down is drawn when it comes into sight: the page answers its reader before.
function whenSeen(id, work) {
  const seen = new IntersectionObserver((found) => {
    if (found.some((each) => each.isIntersecting)) { seen.disconnect(); work(); }
  }, { rootMargin: "100px" });
  seen.observe(byId(id));
}

if (byId("faults")) whenSeen("faults-table", () => {
  const curves = data.campaigns.filter((campaign) => campaign.curve);
  if (curves.length) plot("faults", () => berTraces(curves), { ...BER_AXES, height: 380, margin: { l: 60, r: 15, t: 60, b: 50 } });
  campaignsTable();
});
if (byId("trade-offs")) begin();
