// What the keyboard does.

import { back, move, moveBetweenArms, moveInGroup, moveInTime } from "./browser.js";
import { byId } from "./dom.js";
import { nextTheme } from "./theme.js";

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  "[": () => moveInTime(-1),
  "]": () => moveInTime(1),
  g: () => moveInGroup(1),
  a: () => moveBetweenArms(1),
  t: nextTheme,
  "?": () => byId("help").showModal(),
  "/": () => byId("by-text")?.focus(),
};

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (!writing) return back();
      event.preventDefault(); // a search field would empty itself, and tell no one
      writing.blur();
      return;
    }
    if (writing || document.querySelector("dialog[open]") || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  byId("show-help").addEventListener("click", () => byId("help").showModal());
  byId("close-help").addEventListener("click", () => byId("help").close());
}
