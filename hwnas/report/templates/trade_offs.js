"use strict";
// The networks of a run, which of them are shown, and the plot of any two of their values.
const networks = networksOf(data.networks);
const all = new Map(networks.map((network) => [network.id, network]));
const axes = data.axes,
  axisOf = Object.fromEntries(axes.map((axis) => [axis.name, axis]));
const own = axes.filter((axis) => axis.own);
const state = { chosen: null, across: (own.find((axis) => axis.name !== "error") || own[0])?.name, up: "error", within: {} };

const isWithin = (network) =>
  Object.entries(state.within).every(([name, ranges]) => {
    const value = network.values[name];
    return known(value) && ranges.some(([low, high]) => value >= low && value <= high);
  });
const isTried = (network) => ["front", "dominated"].includes(network.standing) || network.standing.includes(" above ");
const shown = () =>
  networks.filter((network) => (network.isFront || byId("all").checked) && isTried(network) && isWithin(network));
const placed = (list) => list.filter((network) => known(network.values[state.across]) && known(network.values[state.up]));

function hover(network) {
  const lines = [
    `<b>${escaped(network.id)}</b> ${escaped(network.isFront ? "front" : network.standing)}`,
    escaped(network.operator) + (network.parents.length ? ` of ${escaped(network.parents[0])}` : ""),
  ];
  return [...lines, ...own.map((axis) => `${escaped(axis.label)} ${escaped(text(axis, network))}`)].join("<br>");
}

function points(list, name, marker, withBars) {
  const [across, up] = [axisOf[state.across], axisOf[state.up]];
  return {
    x: list.map((n) => n.values[across.name]),
    y: list.map((n) => n.values[up.name]),
    customdata: list.map((n) => n.id),
    text: list.map(hover),
    hovertemplate: "%{text}<extra></extra>",
    mode: "markers",
    name,
    marker,
    ...(withBars ? { error_x: bars(across, list, marker.color), error_y: bars(up, list, marker.color) } : {}),
  };
}

function ancestors(network) {
  const found = [];
  for (let at = network; at; at = all.get(at.parents[0])) found.push(at);
  return placed(found);
}

function tradeOffs() {
  const list = placed(shown()),
    chosen = all.get(state.chosen);
  const marked = (n) => n.isTrained || n.isOriginal;
  const groups = [
    points(
      list.filter((n) => !n.isFront && !marked(n)),
      "not on the front",
      { color: colour("other"), size: 6, opacity: 0.45 },
    ),
    points(
      list.filter((n) => n.isFront && !marked(n)),
      "front",
      { color: colour("front"), size: 9 },
      true,
    ),
    points(
      list.filter((n) => n.isTrained),
      "trained to the end",
      { color: colour("trained"), size: 10, symbol: "diamond" },
      true,
    ),
    points(
      list.filter((n) => n.isOriginal),
      "the original network",
      { color: colour("original"), size: 14, symbol: "star" },
      true,
    ),
  ].filter((trace) => trace.x.length);
  const line = chosen ? ancestors(chosen) : [];
  return [
    ...groups,
    {
      ...points(line, "its ancestors", { size: 1 }),
      mode: "lines",
      line: { color: colour("muted"), width: 1, dash: "dot" },
      hoverinfo: "skip",
      hovertemplate: null,
      showlegend: line.length > 1,
    },
    {
      ...points(chosen ? placed([chosen]) : [], "chosen", {
        size: 17,
        color: "rgba(0,0,0,0)",
        line: { color: colour("chosen"), width: 2 },
      }),
      hoverinfo: "skip",
      hovertemplate: null,
      showlegend: false,
    },
  ];
}

// A limit far beyond every network would press them into a corner: then it is left out.
function limitLines(list) {
  return [
    ["across", "x"],
    ["up", "y"],
  ].flatMap(([which, letter]) => {
    const axis = axisOf[state[which]],
      most = Math.max(...list.map((n) => n.values[axis.name]));
    if (!known(axis.limit) || axis.limit > 1.5 * most) return [];
    const other = letter === "x" ? "y" : "x";
    return [
      {
        type: "line",
        [`${letter}0`]: axis.limit,
        [`${letter}1`]: axis.limit,
        [`${letter}ref`]: letter,
        [`${other}0`]: 0,
        [`${other}1`]: 1,
        [`${other}ref`]: `${other} domain`,
        line: { color: colour("worse"), width: 1.5, dash: "dash" },
        label: { text: `limit ${TEXTS[axis.text](axis.limit)}`, textposition: "end", font: { color: colour("worse"), size: 11 } },
      },
    ];
  });
}

function drawTradeOffs() {
  remember();
  const list = () => placed(shown());
  plot("trade-offs", tradeOffs, () => ({
    height: 460,
    hovermode: "closest",
    xaxis: scale(axisOf[state.across], list()),
    yaxis: scale(axisOf[state.up], list()),
    shapes: limitLines(list()),
  }));
}
