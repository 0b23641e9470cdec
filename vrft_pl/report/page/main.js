// Where the page starts.

import { startBrowser } from "./browser.js";
import { showSize, startCharts } from "./charts.js";
import { byId } from "./dom.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startTheme } from "./theme.js";

/** One size of an ablation at a time, in the table and in the curves. */
function startSizes() {
  const sizes = byId("sizes");
  if (!sizes) return;
  const show = (size) => {
    for (const row of document.querySelectorAll("[data-size]")) row.hidden = row.dataset.size !== "" && row.dataset.size !== size;
    showSize(size);
  };
  sizes.addEventListener("change", (event) => show(event.target.value));
  show(sizes.querySelector("input:checked").value);
}

startTheme();
startCharts();
startSizes();
startBrowser();
startKeys();
startLive();
document.body.classList.add("ready");
