// Light, dark, or as the system says.

import { byId } from "./dom.js";

const THEMES = ["auto", "light", "dark"];
const listeners = [];
let theme = "auto";

/** Call `listener` whenever colours may have changed. */
export const onColours = (listener) => listeners.push(listener);

/** The colour that a CSS variable stands for now. */
export function colour(name) {
  const probe = byId("probe");
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function apply(chosen) {
  theme = THEMES.includes(chosen) ? chosen : "auto";
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-label", `Colours: ${theme}`);
  byId("theme").title = `Colours: ${theme} (t)`;
  for (const listener of listeners) listener();
}

/** Go on to the next theme and keep it. */
export function nextTheme() {
  apply(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
  try {
    localStorage.setItem("vrft_pl theme", theme);
  } catch {
    // a browser that keeps nothing for a file still shows it
  }
}

export function startTheme() {
  let kept = "auto";
  try {
    kept = localStorage.getItem("vrft_pl theme") ?? "auto";
  } catch {
    // as above
  }
  apply(kept);
  byId("theme").addEventListener("click", nextTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(theme));
}
