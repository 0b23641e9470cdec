// The browser of completions: choices above, the list, and the one that is looked at.

import { chosen, gist, nothingChosen, offered, RIGHT } from "./choice.js";
import { armOf, armsOf, count, groupOf, historyOf, ofSample, scoreOf, when } from "./data.js";
import { showDetail } from "./detail.js";
import { byId, digits, element, shown } from "./dom.js";
import { List } from "./list.js";

const SELECTS = ["split", "arm", "rows", "seed", "step", "picture", "verdict", "score", "sort"];
const INPUTS = ["low", "high", "text"];
let [choice, list, current, waiting, keeping, written] = [null, null, -1, 0, 0, ""];

function row(i) {
  const score = scoreOf(i, choice.score);
  const verdict = Number.isNaN(score) ? "none" : score >= RIGHT ? "right" : "wrong";
  return [
    element("span", { class: `score ${verdict}` }, digits(score, 2)),
    element("span", { class: "lines" }, element("bdi", { class: "gist" }, shown(gist(i))), element("span", { class: "about muted" }, element("i", { class: `swatch c${armOf(i) % 10}` }), `${ofSample(i, "split")} · ${when(i)} · `, element("bdi", {}, shown(ofSample(i, "problem").slice(0, 120))))),
  ];
}

/** Write what is looked at into the address, once the hand rests. */
function keep() {
  clearTimeout(keeping);
  keeping = setTimeout(write, 120);
}

function write() {
  const told = new URLSearchParams(Object.entries(choice).filter(([, value]) => value !== ""));
  if (current >= 0) told.set("at", current);
  written = `#?${told}`;
  location.replace(written);
}

/** Look at completion `i`, whether the list has it or not. */
function look(i, open = true) {
  if (i === undefined || i < 0) return;
  current = i;
  list.select(i);
  showDetail(i, choice.score, look);
  if (open) byId("completions").classList.add("looking");
  keep();
}

/** List what fits; what is looked at stays, unless the order is new. */
function update(anew = false) {
  const items = chosen(choice);
  byId("count").textContent = items.length === count ? `${count.toLocaleString("en")}` : `${items.length.toLocaleString("en")} of ${count.toLocaleString("en")}`;
  list.show(items);
  byId("empty").hidden = items.length > 0;
  byId("detail").hidden = items.length === 0;
  if (items.length) look(!anew && items.includes(current) ? current : items[0], false);
  keep();
}

function fill() {
  const options = offered();
  for (const name of SELECTS) {
    const select = byId(`by-${name}`);
    for (const value of options[name] ?? []) {
      const words = name === "step" && !Number.isNaN(Number(value)) ? `step ${value}` : value;
      select.append(element("option", { value }, words));
    }
    const fewest = { picture: 1, verdict: 0, sort: 0 }[name] ?? 2;
    select.closest("label").hidden = (options[name] ?? []).length < fewest;
  }
}

function remembered() {
  const told = new URLSearchParams(location.hash.slice(2));
  const start = nothingChosen();
  for (const name of Object.keys(start)) {
    if (told.has(name)) start[name] = told.get(name);
  }
  const at = Number(told.get("at") ?? -1);
  return [start, Number.isInteger(at) && at >= 0 && at < count ? at : -1];
}

function put(values) {
  for (const name of [...SELECTS, ...INPUTS]) {
    const control = byId(`by-${name}`);
    control.value = values[name];
    if (control.value !== values[name]) control.value = values[name] = nothingChosen()[name]; // it is not offered
  }
  choice = values;
}

/** Show what the address says: at the start, after a step back, of a link that was pasted. */
function recall() {
  const [start, at] = remembered();
  put(start);
  current = at;
  update();
  if (at >= 0) look(at, false); // also where the list does not hold it: an arm beside it was looked at
}

function listen() {
  for (const name of SELECTS) {
    byId(`by-${name}`).addEventListener("change", (event) => {
      choice[name] = event.target.value;
      update(["sort", "score"].includes(name));
    });
  }
  for (const name of INPUTS) {
    byId(`by-${name}`).addEventListener("input", (event) => {
      choice[name] = event.target.value;
      clearTimeout(waiting);
      waiting = setTimeout(() => update(), 60);
    });
  }
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#?") && location.hash !== written) recall();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    put(nothingChosen());
    update();
  });
  byId("more").addEventListener("click", (event) => {
    const all = byId("filters").classList.toggle("all");
    event.target.setAttribute("aria-expanded", String(all));
  });
  byId("back").addEventListener("click", back);
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("close-enlarged").addEventListener("click", () => byId("enlarged").close());
  byId("list").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -count, End: count }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    look(list.neighbour(by), false);
  });
}

/** Go down the list. */
export const move = (by) => look(list?.neighbour(by), false);

/** Back to the list, where a phone shows one of the two. */
export const back = () => byId("completions")?.classList.remove("looking");

function along(others, by, same = (a, b) => a === b) {
  if (current < 0) return;
  const own = others(current);
  const at = own.findIndex((k) => same(k, current));
  if (own.length > 1) look(own[(at + by + own.length) % own.length], false);
}

export const moveInTime = (by) => along(historyOf, by);
export const moveInGroup = (by) => along(groupOf, by);
export const moveBetweenArms = (by) => along(armsOf, by, (a, b) => armOf(a) === armOf(b));

export function startBrowser() {
  if (!count) return;
  list = new List(byId("list"), row, look);
  fill();
  listen();
  recall();
  clearTimeout(keeping); // a link to a section stays one until something is chosen
}
