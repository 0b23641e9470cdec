// Which completions are listed, and in what order. Pure functions of the columns.

import { armOf, armsOf, count, given, historyOf, isTraining, ofSample, ownersOf, picturesOf, records, scoreOf, siblings, textOf } from "./data.js";

export const RIGHT = 0.5;

/** Choices before anyone chose. */
export function nothingChosen() {
  const score = Object.keys(records.scores)[0] ?? "";
  return { split: "", arm: "", rows: "", seed: "", step: "", picture: "", score, low: "", high: "", verdict: "", text: "", sort: "worst" };
}

const lastSteps = new Map();
const firstSteps = new Map();
for (let i = 0; i < count; i++) {
  const [source, step] = [records.source[i], records.step[i]];
  lastSteps.set(source, Math.max(step, lastSteps.get(source) ?? -Infinity));
  firstSteps.set(source, Math.min(step, firstSteps.get(source) ?? Infinity));
}

function atStep(i, step) {
  if (step === "last") return records.step[i] === lastSteps.get(records.source[i]);
  if (step === "first") return records.step[i] === firstSteps.get(records.source[i]);
  return String(records.step[i]) === step;
}

const VERDICTS = {
  right: (i, score) => scoreOf(i, score) >= RIGHT,
  wrong: (i, score) => scoreOf(i, score) < RIGHT,
  unread: (i) => i in records.failures,
  cut: (i) => records.cut[i] === 1,
};

/** Positions of the strings that hold a text, whatever its case. */
function matches(text) {
  const wanted = text.toLowerCase();
  const found = new Uint8Array(records.strings.length);
  records.strings.forEach((string, i) => {
    found[i] = string.toLowerCase().includes(wanted) ? 1 : 0;
  });
  return found;
}

function isChosen({ arm, rows, seed }, choice) {
  return (!choice.arm || arm === choice.arm) && (!choice.rows || rows === null || String(rows) === choice.rows) && (!choice.seed || String(seed) === choice.seed);
}

/** Completions that fit all choices, in order. */
export function chosen(choice) {
  const found = choice.text ? matches(choice.text) : null;
  const { id, problem, answer } = records.samples;
  const holdsText = (i) => {
    const sample = records.sample[i];
    return found[records.text[i]] || found[problem[sample]] || found[id[sample]] || found[answer[sample]];
  };
  const tests = [
    choice.split && ((i) => ofSample(i, "split") === choice.split),
    (choice.arm || choice.rows || choice.seed) && ((i) => ownersOf(i).some((owner) => isChosen(owner, choice))),
    choice.step && ((i) => atStep(i, choice.step)),
    choice.picture && ((i) => picturesOf(i).length > 0),
    choice.low !== "" && ((i) => scoreOf(i, choice.score) >= Number(choice.low)),
    choice.high !== "" && ((i) => scoreOf(i, choice.score) <= Number(choice.high)),
    choice.verdict && ((i) => VERDICTS[choice.verdict](i, choice.score)),
    found && holdsText,
  ].filter(Boolean);
  const kept = [];
  for (let i = 0; i < count; i++) if (tests.every((test) => test(i))) kept.push(i);
  return sorted(kept, choice);
}

const ranks = {
  worst: (i, score) => scoreOf(i, score),
  best: (i, score) => -scoreOf(i, score),
  changed: (i, score) => -change(i, score),
  disputed: (i, score) => -dispute(i, score),
  order: (i) => i,
};

/** Sort by rank; what has none comes last, and equals stay in the order of their question, arm and step. */
function sorted(kept, { sort, score }) {
  const rank = new Float64Array(count);
  for (const i of kept) {
    const value = ranks[sort](i, score);
    rank[i] = Number.isNaN(value) ? Infinity : value;
  }
  const together = sort === "changed" || sort === "disputed";
  return kept.sort((a, b) => compared(rank[a], rank[b]) || (together ? records.sample[a] - records.sample[b] : 0) || a - b);
}

const compared = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const remembered = { change: new Map(), dispute: new Map() };

function remember(kind, key, compute) {
  const kept = remembered[kind];
  if (!kept.has(key)) kept.set(key, compute());
  return kept.get(key);
}

/** How far the score of a held-out sample moved between the first and the last step of a run. */
export function change(i, score) {
  return remember("change", `${score} ${records.source[i]} ${records.sample[i]}`, () => {
    const history = historyOf(i);
    return history.length < 2 ? NaN : Math.abs(scoreOf(history.at(-1), score) - scoreOf(history[0], score));
  });
}

/** How far the arms are apart at their last step, each the mean of its seeds. */
export function dispute(i, score) {
  return remember("dispute", `${score} ${records.sample[i]}`, () => {
    if (isTraining(i) || armsOf(i).length < 2) return NaN;
    const last = siblings(i).filter((k) => records.step[k] === lastSteps.get(records.source[k]));
    const means = [...Map.groupBy(last, armOf).values()].map((own) => mean(own.map((k) => scoreOf(k, score))));
    return Math.max(...means) - Math.min(...means);
  });
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The options that each choice has, from what is there. */
export function offered() {
  const steps = [...new Set(records.step)].sort((a, b) => a - b);
  const of = (name) => [...new Set(records.sources.flatMap(({ owners }) => owners.map((owner) => owner[name])).filter((value) => value !== null))];
  return {
    split: [...new Set(records.samples.split)].map((k) => records.strings[k]),
    arm: given.arms.filter((arm) => of("arm").includes(arm)),
    rows: of("rows").map(String),
    seed: of("seed").map(String),
    step: steps.length > 1 ? ["first", "last", ...steps.map(String)] : [],
    score: Object.keys(records.scores),
    picture: new Set(records.samples.pictures.map((names) => names.length > 0)).size > 1 ? ["with a picture"] : [],
  };
}

/** What a list shows of a completion: the answer where it is marked, and else its beginning. */
export function gist(i) {
  const text = textOf(i);
  const from = text.lastIndexOf("<answer>");
  const start = from < 0 ? 0 : from + 8;
  const end = from < 0 ? -1 : text.indexOf("</answer>", start);
  return text.slice(start, end < 0 ? start + 160 : Math.min(end, start + 160)).replace(/\s+/g, " ").trim();
}
