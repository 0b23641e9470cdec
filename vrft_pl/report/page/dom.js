// Elements without a string of HTML anywhere: what a model wrote is only ever text.

/** An element with attributes, handlers (`onclick`) and children; a string becomes a text node. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for drawings. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const MOST_UNSEEN = 2000;

/** Text as it is; characters that can't be seen are followed through by their code and can turn nothing around. */
export function shown(text) {
  const parts = [];
  let from = 0;
  for (const { 0: mark, index } of text.matchAll(UNSEEN)) {
    if (parts.length > 2 * MOST_UNSEEN) break;
    const code = `U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    parts.push(text.slice(from, index), element("span", { class: "unseen", "data-code": code }, mark));
    from = index + mark.length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** A number with as many digits as a reader wants. */
export const digits = (value, places = 3) => (Number.isFinite(value) ? value.toFixed(places) : "–");
