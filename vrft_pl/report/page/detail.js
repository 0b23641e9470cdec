// One completion with all there is to say of it.

import { RIGHT } from "./choice.js";
import { armsOf, given, groupOf, historyOf, isTraining, ofSample, origin, ownersOf, records, scoreOf, textOf, when } from "./data.js";
import { byId, digits, element, shown } from "./dom.js";
import { hasMarks, pictures } from "./picture.js";

const MOST_IN_A_TABLE = 600;

/** Text of a completion: thoughts are quiet, the answer is not. Nothing is left out. */
export function written(text) {
  const [think, end] = [text.indexOf("<think>"), text.indexOf("</think>")];
  if (think < 0 || end < think) return element("pre", { class: "written", dir: "auto" }, shown(text));
  const cut = end + "</think>".length;
  return element("pre", { class: "written", dir: "auto" }, element("span", { class: "thoughts" }, shown(text.slice(0, cut))), element("span", { class: "said" }, shown(text.slice(cut))));
}

const quote = (text) => element("bdi", { class: "quote" }, shown(text.length > MOST_IN_A_TABLE ? `${text.slice(0, MOST_IN_A_TABLE)}…` : text));

const arm = (i) => {
  const names = [...new Set(ownersOf(i).map((owner) => owner.arm))];
  return names.map((name) => element("span", { class: "arm" }, element("i", { class: `swatch c${given.arms.indexOf(name) % 10}` }), name));
};

/** A score with a bar. */
export function gauge(score) {
  if (Number.isNaN(score)) return element("span", { class: "gauge none" }, "–");
  const bar = element("i", { class: score >= RIGHT ? "right" : "wrong" });
  bar.style.width = `${Math.min(Math.max(score, 0), 1) * 100}%`;
  return element("span", { class: "gauge" }, element("span", { class: "track" }, bar), digits(score, 2));
}

function scores(i) {
  const names = Object.keys(records.scores).filter((name) => !Number.isNaN(scoreOf(i, name)));
  const row = (name) => {
    const reason = Object.hasOwn(records.failures[i] ?? {}, name) ? records.failures[i][name] : "";
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, gauge(scoreOf(i, name))), element("td", { class: "reason" }, reason ? `not read: ${reason.replaceAll("_", " ")}` : ""));
  };
  const unscored = Object.keys(records.failures[i] ?? {}).filter((name) => !names.includes(name));
  return names.length + unscored.length ? element("table", { class: "scores" }, element("tbody", {}, [...names, ...unscored].map(row))) : null;
}

function heading(i) {
  const { cut } = records;
  const facts = [ofSample(i, "split"), origin(i), when(i)].filter(Boolean).join(" · ");
  return element("header", {}, element("p", { class: "facts" }, arm(i), " ", element("span", { class: "muted" }, facts), cut[i] ? element("span", { class: "badge" }, "cut off at the limit") : null), element("p", { class: "id muted small" }, shown(ofSample(i, "id"))));
}

function layers() {
  const toggle = (kind, text) => {
    const box = element("input", { type: "checkbox", checked: !byId("detail").classList.contains(`no-${kind}`), onchange: (event) => byId("detail").classList.toggle(`no-${kind}`, !event.target.checked) });
    return element("label", { class: `chip layer-${kind}` }, box, text);
  };
  return element("div", { class: "layers" }, toggle("truth", "truth"), toggle("answer", "answer"));
}

function enlarge(i) {
  const dialog = byId("enlarged");
  dialog.querySelector(".content").replaceChildren(...pictures(i));
  dialog.classList.toggle("no-truth", byId("detail").classList.contains("no-truth"));
  dialog.classList.toggle("no-answer", byId("detail").classList.contains("no-answer"));
  dialog.showModal();
}

function section(title, note, ...content) {
  return element("section", {}, element("h3", {}, title, note ? element("span", { class: "muted" }, ` ${note}`) : null), content);
}

function table(head, rows) {
  return element("div", { class: "scrolls" }, element("table", { class: "of-completions" }, element("thead", {}, element("tr", {}, head.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, rows)));
}

function pickable(k, here, go, ...cells) {
  const link = element("button", { type: "button", class: "pick", onclick: () => go(k) }, cells[0]);
  return element("tr", { class: k === here ? "here" : null }, element("td", {}, link), cells.slice(1).map((cell) => element("td", {}, cell)));
}

function lean(advantage) {
  if (advantage === null) return "–";
  const bar = element("i", { class: advantage < 0 ? "down" : "up" });
  bar.style.width = `${Math.min(Math.abs(advantage) / 3, 1) * 50}%`;
  return element("span", { class: "lean" }, element("span", { class: "track" }, bar), `${advantage >= 0 ? "+" : "−"}${Math.abs(advantage).toFixed(2)}`);
}

function group(i, score, go) {
  const own = groupOf(i);
  if (own.length < 2) return null;
  const row = (k, place) => pickable(k, i, go, `${place + 1}`, lean(records.advantage[k]), gauge(scoreOf(k, score)), quote(textOf(k)));
  const dead = own.every((k) => records.advantage[k] === 0);
  return section("Group", dead ? "all rewards equal: nothing to learn from" : `${own.length} completions of one prompt`, table(["", "advantage", score, "completion"], own.map(row)));
}

function history(i, score, go) {
  const own = historyOf(i);
  if (own.length < 2) return null;
  const row = (k) => pickable(k, i, go, when(k), gauge(scoreOf(k, score)), quote(textOf(k)));
  return section("Over training", `${own.length} evaluations`, table(["", score, "completion"], own.map(row)));
}

function sideBySide(i, score, go) {
  const own = armsOf(i);
  if (own.length < 2) return null;
  const card = (k) =>
    element(
      "article",
      { class: k === i ? "card here" : "card" },
      element("button", { type: "button", class: "pick", onclick: () => go(k) }, arm(k)),
      hasMarks(k) ? pictures(k).slice(0, 1) : null,
      gauge(scoreOf(k, score)),
      quote(textOf(k)),
      element("p", { class: "muted small" }, [origin(k), when(k)].filter(Boolean).join(" · ")),
    );
  return section("Arms side by side", "", element("div", { class: "cards" }, own.map(card)));
}

/** Show completion `i`; `go` is told when another one is asked for. */
export function showDetail(i, score, go) {
  const text = textOf(i);
  const shownPictures = pictures(i, enlarge);
  const asked = element("div", { class: "asked" }, element("h3", {}, "Question"), element("p", { class: "question", dir: "auto" }, shown(ofSample(i, "problem"))), element("h3", {}, "Truth"), element("p", { class: "truth-text", dir: "auto" }, shown(ofSample(i, "answer"))), scores(i));
  const seen = shownPictures.length ? element("div", { class: "seen" }, shownPictures, hasMarks(i) ? layers() : null) : null;
  byId("detail-content").replaceChildren(
    ...[
      heading(i),
      element("div", { class: seen ? "top" : "top alone" }, seen, asked),
      section(isTraining(i) ? "Completion" : "Answer", text.length > 5000 ? `${text.length.toLocaleString("en")} characters` : "", written(text)),
      group(i, score, go),
      history(i, score, go),
      sideBySide(i, score, go),
    ].filter(Boolean),
  );
  byId("detail").scrollTop = 0;
}
