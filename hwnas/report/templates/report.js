"use strict";
// The page of one run: the table, the network that is chosen, and what is drawn when it is reached.

function sortable(table) {
  const body = table.tBodies[0],
    original = [...body.rows];
  const number = (cell) => {
    const found = parseFloat(cell.textContent.replace(/,/g, ""));
    return Number.isNaN(found) ? Infinity : found;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) =>
    head.firstChild.addEventListener("click", () => {
      const order = head.ariaSort === "ascending" ? "descending" : "ascending",
        sign = order === "ascending" ? 1 : -1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const isNumber =
        head.classList.contains("number") || original.some((row) => /^[\d,.]+ ±/.test(row.cells[column].textContent));
      body.append(
        ...[...body.rows].sort(
          (a, b) =>
            sign *
            (isNumber
              ? number(a.cells[column]) - number(b.cells[column])
              : a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true })),
        ),
      );
    }),
  );
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) choose(row.dataset.id);
  });
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    let row = step && event.target.closest("tr")[step];
    while (row && row.hidden) row = row[step];
    if (row) {
      event.preventDefault();
      row.querySelector("a").focus();
      choose(row.dataset.id);
    }
  });
}

function choose(id) {
  if (!all.has(id)) return;
  if (state.chosen !== id || !byId("chosen").querySelector("h2")) {
    state.chosen = id;
    if (decodeURIComponent(location.hash.slice(1)) !== id) history.pushState(null, "", `#${encodeURIComponent(id)}`);
    for (const row of document.querySelectorAll("#front tbody tr")) row.classList.toggle("chosen", row.dataset.id === id);
    const network = all.get(id),
      list = neighbours();
    const go = (words, step) => {
      const made = el("button", { type: "button", textContent: words });
      made.addEventListener("click", () => move(step));
      return made;
    };
    const [heading, ...others] = details(network, all, axes);
    byId("chosen").replaceChildren(
      el("div", { className: "steps" }, heading, el("span", {}, go("◀", -1), " ", go("▶", 1))),
      ...others,
    );
    byId("chosen")
      .querySelectorAll(".steps button")
      .forEach((button, place) => {
        button.setAttribute("aria-label", place ? "next network" : "previous network");
        button.disabled = list.length < 2;
      });
    drawTradeOffs();
  }
}

// The networks that the arrow keys go through, along the axis across: the front, and no other.
function neighbours() {
  return placed(shown())
    .filter((n) => n.isFront || n.isTrained || n.isOriginal)
    .sort((a, b) => a.values[state.across] - b.values[state.across]);
}
function move(step) {
  const list = neighbours(),
    at = list.findIndex((n) => n.id === state.chosen);
  if (list.length) choose(list[at < 0 ? 0 : (at + step + list.length) % list.length].id);
}

function campaignsTable() {
  const head = [
    "model",
    "format",
    "faults in",
    "fault",
    "mean drop in points",
    "faults that cost over a point",
    "device at 1e-6, points",
    "faults tried",
  ];
  const range = (each, digits = figures) => `${digits(each.value)} (${digits(each.low)} to ${digits(each.high)})`;
  const rows = data.campaigns
    .filter((campaign) => campaign.single)
    .map(({ model, dtype, target, fault, single }) => [
      all.has(model) ? el("a", { href: `#${model}`, textContent: model }) : model,
      dtype,
      target,
      fault,
      range(single.drop),
      range(single.critical, (value) => percent(value, 1)),
      range(single.device_drop),
      counted(single.faults),
    ]);
  byId("faults-table").replaceChildren(
    ...(rows.length
      ? [
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              head.map((words) => el("th", { scope: "col", textContent: words })),
            ),
          ),
          el(
            "tbody",
            {},
            rows.map((row) =>
              el(
                "tr",
                {},
                row.map((cell) => el("td", {}, cell)),
              ),
            ),
          ),
        ]
      : []),
  );
}

function drawProgress() {
  const { used_s, generation, hypervolume, front, best } = data.progress,
    minutes = used_s.map((s) => s / 60);
  const words = generation.map(
    (each, place) => `generation ${each}, ${counted(used_s[place])} s, ${front[place]} networks on the front`,
  );
  const step = (y) => () => [
    {
      x: minutes,
      y,
      mode: "lines+markers",
      line: { color: colour("front"), shape: "hv" },
      marker: { size: 5 },
      text: words,
      hovertemplate: "%{text}<br>%{y}<extra></extra>",
    },
  ];
  const xaxis = { title: { text: "minutes of search" }, rangemode: "tozero" };
  plot("hypervolume", step(hypervolume), { xaxis, yaxis: { title: { text: "hypervolume" }, rangemode: "tozero" } });
  plot("best", step(best), {
    xaxis,
    yaxis: { title: { text: "least validation error" }, tickformat: "~%", rangemode: "tozero" },
  });
}

// A page of a run at work loads itself again: what its reader had set stays.
const MEMORY = document.querySelector("meta[http-equiv=refresh]") && `hwnas ${location.pathname}`;

function remember() {
  const { across, up, within } = state;
  if (MEMORY)
    try {
      sessionStorage.setItem(MEMORY, JSON.stringify({ across, up, within, all: byId("all").checked }));
    } catch {
      /* no storage here */
    }
}

function recall() {
  let found = null;
  if (MEMORY)
    try {
      found = JSON.parse(sessionStorage.getItem(MEMORY));
    } catch {
      /* no storage here */
    }
  if (!found) return;
  for (const which of ["across", "up"]) if (axisOf[found[which]]) state[which] = found[which];
  state.within = Object.fromEntries(Object.entries(found.within).filter(([name]) => own.some((axis) => axis.name === name)));
  byId("all").checked = found.all;
}

function begin() {
  recall();
  menu(byId("across"), axes, state.across);
  menu(byId("up"), axes, state.up);
  for (const which of ["across", "up"])
    byId(which).addEventListener("change", () => {
      state[which] = byId(which).value;
      drawTradeOffs();
    });
  byId("all").addEventListener("change", () => {
    if (byId("parallel").data) drawParallel();
    filtered();
  });
  limitFields();
  fillLimits();
  filtered();
  sortable(byId("front"));
  byId("trade-offs").on("plotly_click", (event) => {
    const id = event.points[0].customdata;
    if (id) choose(id);
  });
  byId("trade-offs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      move(step);
    }
  });
  const linked = decodeURIComponent(location.hash.slice(1));
  const knee = networks.find((network) => network.named?.includes("balanced"));
  choose(all.has(linked) ? linked : knee?.id);
  window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
  window.addEventListener("popstate", () => choose(decodeURIComponent(location.hash.slice(1))));
  whenSeen("hypervolume", drawProgress);
  whenSeen("parallel", () => {
    drawParallel();
    byId("parallel").on?.("plotly_restyle", brushed);
  });
}

// What is further down is drawn when it comes into sight, or is printed: the page answers its reader before.
function whenSeen(id, work) {
  const draw = () => {
    seen.disconnect();
    window.removeEventListener("beforeprint", draw);
    work();
  };
  const seen = new IntersectionObserver((found) => found.some((each) => each.isIntersecting) && draw(), { rootMargin: "100px" });
  window.addEventListener("beforeprint", draw);
  seen.observe(byId(id));
}

if (byId("faults"))
  whenSeen("faults-table", () => {
    const curves = data.campaigns.filter((campaign) => campaign.curve);
    if (curves.length)
      plot("faults", () => berTraces(curves), { ...BER_AXES, height: 380, margin: { l: 60, r: 15, t: 60, b: 50 } });
    campaignsTable();
  });
if (byId("trade-offs")) begin();
