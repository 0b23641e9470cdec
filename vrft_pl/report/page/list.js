// A list that only builds the rows in sight: twenty thousand cost as much as twenty.

import { element } from "./dom.js";

const ROW = 56;
const BESIDE = 6;

export class List {
  /** `row(i)` builds what is shown of item `i`; `choose(i)` is told when one is chosen. */
  constructor(place, row, choose) {
    Object.assign(this, { place, row, choose, items: [], selected: -1 });
    this.inner = element("div", { class: "rows", role: "presentation" });
    place.replaceChildren(this.inner);
    place.addEventListener("scroll", () => this.draw(), { passive: true });
    place.addEventListener("click", (event) => {
      const row = event.target.closest("[data-item]");
      if (row) this.choose(Number(row.dataset.item));
    });
    new ResizeObserver(() => this.draw()).observe(place);
  }

  /** Show other items, from the top. */
  show(items) {
    this.items = items;
    this.inner.style.height = `${items.length * ROW}px`;
    this.place.scrollTop = 0;
    this.draw();
  }

  /** Mark an item and bring it into sight. */
  select(item) {
    this.selected = item;
    const at = this.items.indexOf(item);
    const { scrollTop, clientHeight } = this.place;
    if (at >= 0 && at * ROW < scrollTop) this.place.scrollTop = at * ROW;
    else if (at >= 0 && (at + 1) * ROW > scrollTop + clientHeight) this.place.scrollTop = (at + 1) * ROW - clientHeight;
    this.draw();
  }

  /** The item `by` places further down. */
  neighbour(by) {
    const at = this.items.indexOf(this.selected);
    return this.items[Math.min(Math.max(at + by, 0), this.items.length - 1)];
  }

  draw() {
    const from = Math.max(Math.floor(this.place.scrollTop / ROW) - BESIDE, 0);
    const to = Math.min(Math.ceil((this.place.scrollTop + this.place.clientHeight) / ROW) + BESIDE, this.items.length);
    const rows = this.items.slice(from, to).map((item, k) => {
      const here = item === this.selected;
      const node = element("div", { class: "row", role: "option", id: `row-${item}`, "data-item": item, "aria-selected": String(here) }, this.row(item));
      node.style.top = `${(from + k) * ROW}px`;
      return node;
    });
    this.inner.replaceChildren(...rows);
    if (this.items.includes(this.selected)) this.place.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.place.removeAttribute("aria-activedescendant");
  }
}
