"use strict";
// What the reader accepts: brushed along parallel coordinates, or typed.

// Parallel coordinates: one axis for each objective; what is drawn along one is a filter.
function parallelList() {
  return networks.filter(
    (n) => (n.isFront || byId("all").checked) && isTried(n) && own.every((axis) => known(n.values[axis.name])),
  );
}
const isLog = (axis, list) => axis.log && list.every((network) => network.values[axis.name] > 0);

function dimension(axis, list) {
  const log = isLog(axis, list),
    to = (value) => (log ? Math.log10(value) : value);
  const values = list.map((n) => to(n.values[axis.name]));
  const marks = log ? logTicks(list.map((n) => n.values[axis.name])) : [];
  const range = (state.within[axis.name] || []).map((pair) =>
    pair.map((end) => Math.min(1e15, Math.max(-1e15, end > 0 || !log ? to(end) : -1e15))),
  );
  return {
    label: escaped(axis.title),
    values,
    ...(log ? { tickvals: marks.map(Math.log10), ticktext: marks.map((v) => tickText(axis, v)) } : { tickformat: tickFormat(axis) }),
    ...(range.length ? { constraintrange: range.length === 1 ? range[0] : range } : {}),
  };
}

function drawParallel() {
  const list = parallelList();
  if (list.length < 2) return; // nothing to compare
  byId("parallel").style.minWidth = `${8.5 * own.length}rem`;
  const shade = (n) => (n.isFront ? 1 : 0);
  plot(
    "parallel",
    () => [
      {
        type: "parcoords",
        dimensions: own.map((axis) => dimension(axis, list)),
        labelfont: { size: 12 },
        unselected: { line: { color: colour("line"), opacity: 0.25 } },
        line: {
          color: list.map(shade),
          cmin: 0,
          cmax: 1,
          colorscale: [
            [0, faint(colour("other"), 0.4)],
            [1, colour("front")],
          ],
        },
      },
    ],
    () => ({ height: 300, margin: { l: 60, r: 60, t: 60, b: 20 } }),
  );
}

function brushed() {
  const list = parallelList(),
    dimensions = byId("parallel").data[0].dimensions;
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
  byId("left").textContent = Object.keys(state.within).length
    ? `${front.filter(isWithin).length} of ${front.length} networks of the front are left.`
    : "";
}

function limitFields() {
  const field = (axis) => {
    const input = el("input", { type: "number", min: "0", step: "any", name: axis.name, "aria-label": `at most, ${axis.title}` });
    input.addEventListener("change", () => {
      const most = input.value === "" ? null : Number(input.value) / (axis.text === "percent" ? 100 : 1);
      if (most === null) delete state.within[axis.name];
      else state.within[axis.name] = [[0, most]];
      if (byId("parallel").data) drawParallel();
      filtered();
    });
    return el("label", {}, `${axis.label} ≤ `, input, axis.text === "percent" ? " %" : axis.unit === "1" ? "" : ` ${axis.unit}`);
  };
  const reset = el("button", { type: "button", textContent: "No filter" });
  reset.addEventListener("click", () => {
    state.within = {};
    fillLimits();
    if (byId("parallel").data) drawParallel();
    filtered();
  });
  byId("limits").replaceChildren(...own.map(field), reset);
}

function fillLimits() {
  for (const axis of own) {
    const most = Math.max(...(state.within[axis.name] || []).flat());
    byId("limits").elements[axis.name].value = Number.isFinite(most)
      ? Number((most * (axis.text === "percent" ? 100 : 1)).toPrecision(4))
      : "";
  }
}
