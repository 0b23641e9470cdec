// A picture with what is there and what was answered, drawn over it.

import { picturesOf, records, sizeOf, truthOf } from "./data.js";
import { drawn, element } from "./dom.js";

function mark({ points, label, faint }, kind, width) {
  const [x1, y1, x2, y2] = points;
  const attributes = { class: `mark ${kind}${faint ? " faint" : ""}` };
  const shape =
    points.length === 4
      ? drawn("rect", { ...attributes, x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) })
      : drawn("polygon", { ...attributes, points: points.join(" ") });
  if (!label) return [shape];
  const size = width / 24;
  const text = drawn("text", { class: `${attributes.class} name`, x: x1 + size / 4, y: Math.max(y1 - size / 4, size), "font-size": size }, label.slice(0, 60));
  return [shape, text];
}

function overlay(i, [width, height]) {
  const truth = truthOf(i).flatMap((one) => mark(one, "truth", width));
  const answer = (records.marks[i] ?? []).flatMap((one) => mark(one, "answer", width));
  return truth.length + answer.length ? drawn("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, truth, answer) : null;
}

/** The pictures of completion `i`; marks are on the first. */
export function pictures(i, large = null) {
  return picturesOf(i).map((name, place) => {
    const { data, width, height } = records.pictures[name];
    const image = element("img", { src: `data:image/webp;base64,${data}`, alt: "", class: width < 200 ? "coarse" : null, width, height });
    const frame = element("div", { class: "picture" }, image, place === 0 ? overlay(i, sizeOf(i) ?? [width, height]) : null);
    if (!large) return frame;
    return element("button", { type: "button", class: "enlarge", "aria-label": "Enlarge the picture", onclick: () => large(i) }, frame);
  });
}

/** Whether anything is drawn on the picture of completion `i`. */
export const hasMarks = (i) => truthOf(i).length > 0 || i in records.marks;
