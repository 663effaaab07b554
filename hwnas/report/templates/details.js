"use strict";
// One network: figures, architecture, lineage, learning curve, latency and resilience.
const LATENCY = [
  "latency",
  "95 % interval",
  "median",
  "90 % below",
  "99 % below",
  "samples",
  "share of waiting",
  "memory of the process in kB",
  "machine was quiet",
];

function details(network, all, axes) {
  const link = (id) => (all.has(id) ? el("a", { href: `#${id}`, textContent: id }) : id);
  const parts = [
    figuresOf(network, axes),
    architecture(network),
    lineage(network, all, axes, link),
    curve(network),
    latency(network),
    resilience(network),
    everything(network, axes),
  ];
  return [title(network), ...parts.flat().filter(Boolean)];
}

function title(network) {
  const badge = (words, kind) => [" ", el("span", { className: `badge ${kind}`, textContent: words })];
  return el(
    "h2",
    {},
    network.id,
    network.isFront ? badge("front", "front") : badge(network.standing, ""),
    network.named ? badge(network.named, "front") : null,
    network.isTrained ? badge("trained to the end", "trained") : null,
    network.isOriginal ? badge("the original network", "original") : null,
  );
}

function figuresOf(network, axes) {
  const shown = axes.filter(
    (axis) => known(network.values[axis.name]) && (axis.own || ["macs", "test_error"].includes(axis.name)),
  );
  const list = el(
    "dl",
    {},
    shown.map((axis) => [el("dt", { textContent: axis.label }), el("dd", { textContent: text(axis, network) })]),
  );
  const images = network.values.images;
  if (known(images))
    list.append(
      el("dt", { textContent: "trained on" }),
      el("dd", {}, `${counted(images)} images`, known(network.seconds) ? `, ${figures(network.seconds)} s` : ""),
    );
  return [network.failure ? el("p", { className: "warning", textContent: network.failure }) : null, list];
}

function architecture(network) {
  const layers = data.drawings.networks[network.id];
  const heading = el("h3", { textContent: "Architecture" });
  if (!layers) {
    const why =
      data.drawings.unknown[network.id] ||
      "Not in this page, which holds the front, what it descends from and the best of the others.";
    return [heading, el("p", { className: "lead", textContent: why })];
  }
  const rows = layers.map(([row]) => data.drawings.rows[row]);
  const largest = [3, 4].map((column) => Math.max(1, ...rows.map((row) => row[column])));
  const head = el(
    "tr",
    {},
    ["", "layer", "shape", "parameters", "MACs"].map((words, place) =>
      el("th", { textContent: words, scope: "col", className: place > 2 ? "number" : "" }),
    ),
  );
  const cost = (row, place) =>
    el(
      "td",
      { className: "number" },
      row[3 + place] ? counted(row[3 + place]) : "",
      row[3 + place]
        ? el("span", { className: "bar", style: `width:${Math.round((100 * row[3 + place]) / largest[place])}%` })
        : null,
    );
  const body = rows.map((row, place) => {
    const [first, ...fused] = row[1].split(" + ");
    const reads = layers[place].slice(1);
    const small = [
      fused.join(", "),
      reads.some((read) => read !== place - 1) ? `reads ${reads.map((read) => read + 1).join(" and ")}` : "",
    ];
    return el(
      "tr",
      {},
      el("td", { className: "gutter", textContent: "" }),
      el(
        "td",
        { className: "words" },
        el("span", { className: "place", textContent: `${place + 1} ` }),
        first,
        el("small", { textContent: small.filter(Boolean).join("; ") }),
      ),
      el("td", { className: "shape", textContent: row[2].join("×") }),
      cost(row, 0),
      cost(row, 1),
    );
  });
  const table = el("table", { className: "layers" }, el("thead", {}, head), el("tbody", {}, body));
  const drawing = el("div", { className: "drawing" }, table);
  new ResizeObserver(() => wires(drawing, layers, rows)).observe(table);
  return [heading, drawing];
}

// Lines from each layer to those that read it: straight to the next, around in a lane of its own where it skips some.
function wires(drawing, layers, rows) {
  const heights = [...drawing.querySelectorAll("tbody tr")].map((row) => row.offsetTop + row.offsetHeight / 2);
  const lanes = [];
  const skips = [];
  layers.forEach(([, ...reads], to) =>
    reads.forEach((from) => {
      if (to - from > 1) skips.push([from, to]);
    }),
  );
  skips.sort((a, b) => a[1] - a[0] - (b[1] - b[0]));
  for (const skip of skips) {
    const lane = lanes.findIndex((taken) => taken.every(([from, to]) => skip[1] <= from || skip[0] >= to));
    (lane < 0 ? lanes[lanes.push([]) - 1] : lanes[lane]).push(skip);
  }
  const step = lanes.length > 8 ? 5 : 9,
    middle = 10 + step * lanes.length;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = (kind, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  const line = { fill: "none", stroke: "var(--muted)", "stroke-width": 1.5 };
  layers.forEach(([, ...reads], to) => {
    if (reads.includes(to - 1)) shape("path", { ...line, d: `M${middle} ${heights[to - 1]}V${heights[to]}` });
  });
  lanes.forEach((taken, lane) =>
    taken.forEach(([from, to]) => {
      const x = middle - step * (lane + 1);
      shape("path", {
        ...line,
        class: "skip",
        d:
          `M${middle} ${heights[from]}C${x} ${heights[from]} ${x} ${heights[from]} ${x} ${heights[from] + 14}` +
          `V${heights[to] - 14}C${x} ${heights[to]} ${x} ${heights[to]} ${middle} ${heights[to]}`,
      });
    }),
  );
  rows.forEach((row, place) => shape("circle", { cx: middle, cy: heights[place], r: 5, fill: `var(--${row[0]})` }));
  svg.setAttribute("width", middle + 8);
  svg.setAttribute("height", drawing.scrollHeight);
  svg.setAttribute("aria-hidden", "true"); // rows say what they read
  drawing.querySelector("svg")?.remove();
  drawing.append(svg);
  for (const cell of drawing.querySelectorAll("td.gutter")) cell.style.minWidth = `${middle + 12}px`;
}

function lineage(network, all, axes, link) {
  const steps = [];
  for (let at = network; at; at = all.get(at.parents[0])) {
    const parent = all.get(at.parents[0]);
    const words = at.parents.length
      ? [` ${at.operator.replace(/[_]/g, " ").replace(/\+/g, ", then ")} of `, link(at.parents[0])]
      : [` ${at.operator.replace(/_/g, " ")}`];
    steps.push(
      el(
        "li",
        {},
        at === network ? el("strong", { textContent: at.id }) : link(at.id),
        words,
        at.tuned ? el("div", { textContent: `trained with ${at.tuned}` }) : null,
        parent
          ? el(
              "div",
              {},
              axes.filter((axis) => axis.own).map((axis) => change(axis, parent, at)),
            )
          : null,
      ),
    );
  }
  const children = [...all.values()].filter((other) => other.parents.includes(network.id));
  const named = children
    .slice(0, 12)
    .flatMap((child, place) => [place ? ", " : "", link(child.id), child.isFront ? " (front)" : ""]);
  return [
    el("h3", { textContent: "Lineage" }),
    el("ol", { className: "lineage" }, steps),
    children.length ? el("p", {}, "Children: ", named, children.length > 12 ? ` and ${children.length - 12} more` : "") : null,
  ];
}

// What a network won or lost against its parent in one objective; all are minimised.
function change(axis, parent, child) {
  const [before, after] = [parent.values[axis.name], child.values[axis.name]];
  if (!known(before) || !known(after)) return null;
  const amount = axis.text === "percent" ? (after - before) * 100 : before ? (after / before - 1) * 100 : 0;
  if (Math.abs(amount) < 0.05) return null;
  const size =
    Math.abs(amount) >= 999
      ? `×${figures(after / before)}`
      : `${amount > 0 ? "+" : "−"}${Math.abs(amount).toFixed(1)}${axis.text === "percent" ? " points" : " %"}`;
  return el("span", {
    className: `change ${amount < 0 ? "better" : "worse"}`,
    textContent: `${amount < 0 ? "▼" : "▲"} ${axis.label} ${size}`,
  });
}

function curve(network) {
  if (!network.curve.length) return null;
  const place = el("div", { className: "plot" });
  const traces = () =>
    [
      [1, "loss", "training loss", "y"],
      [2, "error", "validation error", "y2"],
    ].map(([column, , name, axis]) => ({
      x: network.curve.map((point) => point[0]),
      y: network.curve.map((point) => point[column]),
      name,
      yaxis: axis,
      connectgaps: true,
      mode: "lines+markers",
      marker: { size: 5 },
      line: { color: colour(column === 1 ? "other" : "front") },
      showlegend: false,
    }));
  queueMicrotask(() =>
    plot(place, traces, {
      height: 270,
      xaxis: { title: { text: "images" }, rangemode: "tozero", anchor: "y2" },
      yaxis: { domain: [0.56, 1], title: { text: "loss in nats" }, rangemode: "tozero" },
      yaxis2: { domain: [0, 0.44], title: { text: "error" }, tickformat: "~%", rangemode: "tozero" },
      margin: { l: 60, r: 10, t: 10, b: 40 },
    }),
  );
  return [el("h3", { textContent: "Learning curve" }), place];
}

function latency(network) {
  const kinds = Object.entries(data.latencies[network.id] || {});
  if (!kinds.length) return null;
  const cell = (values, place) => {
    const value = values[place];
    if (!known(value)) return "unknown";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (place === 6) return percent(value, 1);
    if (place === 5 || place === 7) return counted(value);
    return `${place === 1 ? "± " : ""}${figures(value)} ms`;
  };
  const rows = LATENCY.map((name, place) =>
    el(
      "tr",
      {},
      el("th", { textContent: name, scope: "row" }),
      kinds.map(([, values]) => el("td", { className: "number", textContent: cell(values, place) })),
    ),
  );
  const head = el(
    "tr",
    {},
    el("th"),
    kinds.map(([kind]) =>
      el("th", { className: "number", scope: "col", textContent: kind === "final" ? "after the search" : "in the search" }),
    ),
  );
  return [
    el("h3", { textContent: "Latency as measured" }),
    el("div", { className: "wide" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows))),
  ];
}

function resilience(network) {
  const own = data.campaigns.filter((campaign) => campaign.model === network.id);
  if (!own.length) return null;
  const parts = [el("h3", { textContent: "Resilience to bit flips" })];
  const curves = own.filter((campaign) => campaign.curve);
  if (curves.length) {
    const place = el("div", { className: "plot" });
    parts.push(place);
    queueMicrotask(() =>
      plot(place, () => berTraces(curves), { ...BER_AXES, height: 240, margin: { l: 60, r: 10, t: 30, b: 40 } }),
    );
  }
  for (const campaign of own.filter((each) => each.single)) {
    const { drop, faults, layers } = campaign.single;
    const place = el("div", { className: "plot" });
    parts.push(
      el("p", {
        textContent:
          `One fault (${campaign.fault}, ${campaign.dtype}, ${campaign.target}) costs ${figures(drop.value)} points on average ` +
          `(${figures(drop.low)} to ${figures(drop.high)}), of ${counted(faults)} faults tried. By layer:`,
      }),
      place,
    );
    queueMicrotask(() =>
      plot(place, () => dropTraces(layers), {
        height: 110 + 20 * layers.length,
        xaxis: { title: { text: "mean drop in points" } },
        yaxis: { type: "category", autorange: "reversed" },
        margin: { l: 90, r: 10, t: 5, b: 40 },
      }),
    );
    parts.push(...protectFirst(layers));
  }
  return parts;
}

function protectFirst(layers) {
  const weight = ({ expected, changed }) => (known(expected) ? expected : changed ? changed.value : 0);
  const rows = layers
    .filter(({ expected, changed }) => known(expected) || changed)
    .sort((one, other) => weight(other) - weight(one))
    .map(({ layer, expected, changed }) => [
      layer,
      known(expected) ? percent(expected, 0) : "unknown",
      changed ? `${percent(changed.value, 0)} (${percent(changed.low, 0)} to ${percent(changed.high, 0)})` : "none changed",
    ]);
  if (!rows.length) return [];
  const head = ["protect first", "share of expected change", "share of measured change"].map((title, place) =>
    el("th", { scope: "col", className: place ? "number" : "", textContent: title }),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      {},
      cells.map((text, place) =>
        place ? el("td", { className: "number", textContent: text }) : el("th", { scope: "row", textContent: text }),
      ),
    ),
  );
  return [
    el("p", {
      className: "lead",
      textContent:
        "Where flips do harm: of what they are expected to change, computed from the trained weights, and of the answers " +
        "that the campaign's faults changed.",
    }),
    el("div", { className: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body))),
  ];
}

const BER_AXES = {
  xaxis: { type: "log", title: { text: "bit error rate" }, exponentformat: "power", dtick: 1 },
  yaxis: { title: { text: "accuracy" }, range: [0, 1], tickformat: ".0%" },
};

function berTraces(campaigns) {
  return campaigns.flatMap((campaign, number) => {
    const { bers, accuracies } = campaign.curve,
      shade = series(number);
    const name = `${campaign.model}, ${campaign.dtype} ${campaign.target}`;
    const band = [...accuracies.map((each) => each.high), ...accuracies.map((each) => each.low).reverse()];
    return [
      {
        x: [...bers, ...[...bers].reverse()],
        y: band,
        fill: "toself",
        fillcolor: faint(shade, 0.2),
        mode: "lines",
        line: { width: 0 },
        hoverinfo: "skip",
        legendgroup: name,
        showlegend: false,
      },
      {
        x: bers,
        y: accuracies.map((each) => each.value),
        name: escaped(name),
        legendgroup: name,
        mode: "lines+markers",
        line: { color: shade, dash: DASHES[Math.floor(number / OKABE_ITO.length) % DASHES.length] },
      },
    ];
  });
}

function dropTraces(layers) {
  const told = layers.filter((layer) => layer.drop);
  return [
    {
      x: told.map((layer) => layer.drop.value),
      y: told.map((layer) => escaped(layer.layer)),
      mode: "markers",
      marker: { color: colour("front"), size: 7 },
      error_x: {
        type: "data",
        symmetric: false,
        array: told.map((layer) => layer.drop.high - layer.drop.value),
        arrayminus: told.map((layer) => layer.drop.value - layer.drop.low),
        color: faint(colour("front"), 0.5),
      },
    },
  ];
}

function everything(network, axes) {
  const labels = Object.fromEntries(axes.map((axis) => [axis.name, axis.title]));
  const rows = Object.entries(network.values).map(([name, value]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", textContent: labels[name] || name.replace(/_/g, " ") }),
      el("td", { className: "number", textContent: String(value) }),
    ),
  );
  return el(
    "details",
    {},
    el("summary", { textContent: "Everything that is stored of it" }),
    el("table", { className: "facts" }, el("tbody", {}, rows)),
  );
}
