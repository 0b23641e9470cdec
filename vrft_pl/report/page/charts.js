// Curves: a panel for each quantity, a line for each arm, a band from its lowest to its highest seed.

import { given } from "./data.js";
import { byId, digits, element } from "./dom.js";
import { colour, onColours } from "./theme.js";

const FEW = 12;
const hidden = new Set();
const built = [];
let [smoothing, size] = [0, null];

/** Exponential mean of what came before; gaps stay. */
export function smoothed(values, weight) {
  let last = null;
  return values.map((value) => {
    if (value === null) return null;
    last = last === null ? value : weight * last + (1 - weight) * value;
    return last;
  });
}

const visible = (panel) =>
  panel.series.filter((s) => !hidden.has(s.arm) && (panel.log || s.rows === null || size === null || String(s.rows) === size));

function withAlpha(rgb, alpha) {
  return `color-mix(in srgb, ${rgb} ${alpha * 100}%, transparent)`;
}

function lines(panel) {
  const [data, series, bands] = [[panel.steps], [{}], []];
  for (const { arm, mean, low, high } of visible(panel)) {
    const stroke = colour(`--c${given.arms.indexOf(arm) % 10}`);
    const few = panel.steps.length <= 30;
    data.push(smoothed(mean, smoothing));
    series.push({ label: arm, stroke, width: 1.75, spanGaps: true, points: { show: few, size: 5, fill: stroke } });
    if (!low.length) continue;
    data.push(smoothed(high, smoothing), smoothed(low, smoothing));
    const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
    series.push({ ...edge, label: "high" }, { ...edge, label: "low" });
    bands.push({ series: [data.length - 2, data.length - 1], fill: withAlpha(stroke, 0.16) });
  }
  return { data, series, bands };
}

/** A number at an axis: never rounded to nothing, never longer than its place. */
function tick(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? Number(value.toPrecision(3)).toExponential().replace("e+", "e") : String(Number(value.toPrecision(5)));
}

function options(panel, width, reading) {
  const { series, bands } = lines(panel);
  const [ink, grid] = [colour("--muted"), colour("--line")];
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 }, font: "11px system-ui" };
  return {
    width,
    height: 168,
    series,
    bands,
    legend: { show: false },
    cursor: { sync: { key: panel.log ? "rows" : "steps" }, y: false, points: { size: 6 }, drag: { x: true, y: false } },
    scales: { x: panel.log ? { time: false, distr: 3, log: 2 } : { time: false } },
    axes: [
      { ...axis, size: 26, space: 60 },
      { ...axis, size: 50, space: 34, values: (_, values) => values.map(tick) },
    ],
    padding: [8, 10, 0, 0],
    hooks: { setCursor: [(plot) => read(plot, panel, reading)] },
  };
}

function read(plot, panel, reading) {
  const at = plot.cursor.idx;
  if (at === null || at === undefined) {
    reading.textContent = "";
    return;
  }
  const told = plot.series.flatMap((series, i) => {
    const value = plot.data[i][at];
    return i === 0 || series.width === 0 || value === null || value === undefined ? [] : [`${series.label} ${Number(value.toPrecision(4))}`];
  });
  reading.textContent = `${panel.log ? "rows" : "step"} ${panel.steps[at]}: ${told.join(", ")}`;
}

function draw(chart) {
  const { panel, plot, place, reading } = chart;
  plot?.destroy();
  chart.plot = new uPlot(options(panel, place.clientWidth || 300, reading), lines(panel).data, place);
}

function build(panel) {
  const [place, reading] = [element("div", { class: "plot" }), element("output", { class: "reading" })];
  const figure = element("figure", { class: "chart" }, element("figcaption", {}, panel.name, reading), place);
  built.push({ panel, place, reading, plot: null });
  return figure;
}

const redraw = () => built.forEach((chart) => chart.plot && draw(chart));

function legend() {
  const name = (arm, i) => [element("i", { class: `swatch c${i % 10}` }), arm];
  const drawn = new Set(given.panels.flatMap((panel) => panel.series.map((series) => series.arm)));
  return given.arms.map((arm, i) => drawn.has(arm) &&
    element(
      "label",
      { class: "chip" },
      element("input", {
        type: "checkbox",
        checked: true,
        onchange: (event) => {
          if (event.target.checked) hidden.delete(arm);
          else hidden.add(arm);
          redraw();
        },
      }),
      name(arm, i),
    ),
  );
}

function families(panels) {
  const groups = Map.groupBy(panels, (panel) => panel.family);
  return [...groups].map(([family, own]) =>
    element(
      "details",
      { class: `family span-${Math.min(own.length, 3)}`, open: true },
      element("summary", {}, family, element("span", { class: "muted" }, ` ${own.length}`)),
      element("div", { class: "charts" }, own.map(build)),
    ),
  );
}

/** Panels whose every value is one and the same are a line of text. */
function flat({ series }) {
  const values = new Set(series.flatMap((s) => s.mean).filter((value) => value !== null));
  return values.size === 1 ? [...values][0] : null;
}

/** Draw what came into view and stays there. */
function drawInView() {
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const chart = built.find(({ place }) => place === target);
      if (isIntersecting && !chart.plot) draw(chart);
    }
  });
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { plot } = built.find(({ place }) => place === target);
      if (plot && target.clientWidth && plot.width !== target.clientWidth) plot.setSize({ width: target.clientWidth, height: 168 });
    }
  });
  for (const { place } of built) {
    watcher.observe(place);
    sizes.observe(place);
  }
}

/** Show the curves of one size of an ablation. */
export function showSize(chosen) {
  size = chosen;
  redraw();
}

export function startCharts() {
  if (given.efficiency.length) byId("efficiency-charts").append(...given.efficiency.map((panel) => build(panel)));
  if (given.panels.length) {
    const moving = given.panels.filter((panel) => flat(panel) === null);
    const still = given.panels.filter((panel) => flat(panel) !== null);
    if (given.arms.length > 1) byId("legend").append(...legend().filter(Boolean));
    byId("families").append(...families(moving));
    if (still.length) byId("still").append(element("details", { open: still.length <= FEW }, element("summary", {}, `${still.length} always the same`), still.map((p) => `${p.name} ${tick(flat(p))}`).join(", ")));
    byId("smoothing").addEventListener("input", (event) => {
      smoothing = Number(event.target.value);
      byId("smoothing-value").textContent = digits(smoothing, 2);
      redraw();
    });
  }
  drawInView();
  onColours(redraw);
}
