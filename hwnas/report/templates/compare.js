"use strict";
// Several runs: their fronts over each other.
const axes = data.axes,
  axisOf = Object.fromEntries(axes.map((axis) => [axis.name, axis]));
const runs = data.runs.map((run) => ({ label: run.label, networks: networksOf(run.networks) }));
const state = { across: (axes.find((axis) => axis.own && axis.name !== "error") || axes[0]).name, up: "error" };
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star", "cross"];

function traces() {
  const [across, up] = [axisOf[state.across], axisOf[state.up]];
  return runs.map((run, number) => {
    const list = run.networks
      .filter((n) => known(n.values[across.name]) && known(n.values[up.name]))
      .sort((a, b) => a.values[across.name] - b.values[across.name]);
    const shade = series(number);
    return {
      x: list.map((n) => n.values[across.name]),
      y: list.map((n) => n.values[up.name]),
      name: escaped(run.label),
      mode: "markers",
      marker: { color: shade, size: 9, symbol: SYMBOLS[number % SYMBOLS.length] },
      error_x: bars(across, list, shade),
      error_y: bars(up, list, shade),
      text: list.map(
        (n) =>
          `<b>${escaped(run.label)}</b> ${escaped(n.id)}<br>${escaped(across.label)} ${text(across, n)}<br>${escaped(up.label)} ${text(up, n)}`,
      ),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
}

function draw() {
  const everything = (axis) => runs.flatMap((run) => run.networks).filter((n) => known(n.values[axis.name]));
  plot("fronts", traces, () => ({
    height: 520,
    hovermode: "closest",
    showlegend: true,
    xaxis: scale(axisOf[state.across], everything(axisOf[state.across])),
    yaxis: scale(axisOf[state.up], everything(axisOf[state.up])),
  }));
}

for (const which of ["across", "up"]) {
  menu(byId(which), axes, state[which]);
  byId(which).addEventListener("change", () => {
    state[which] = byId(which).value;
    draw();
  });
}
draw();
