// What the page was given, and the completions by column.

export const given = JSON.parse(document.getElementById("data").textContent);
export const records = given.completions;
export const count = records ? records.sample.length : 0;

export const textOf = (i) => records.strings[records.text[i]];
export const sourceOf = (i) => records.sources[records.source[i]];
/** The arms, sizes and seeds that completion `i` is of; several may share a run. */
export const ownersOf = (i) => sourceOf(i).owners;
export const armOf = (i) => given.arms.indexOf(ownersOf(i)[0].arm);
export const ofSample = (i, name) => records.strings[records.samples[name][records.sample[i]]];
export const picturesOf = (i) => records.samples.pictures[records.sample[i]];
export const sizeOf = (i) => records.samples.size[records.sample[i]];
export const truthOf = (i) => records.samples.truth[records.sample[i]];
export const isTraining = (i) => records.group[i] >= 0;

/** Score of completion `i`, NaN where it has none. */
export function scoreOf(i, name) {
  const score = records.scores[name]?.[i];
  return score === null || score === undefined ? NaN : score;
}

/** When it was written: after a step of training, or in a test of its own. */
export const when = (i) => (sourceOf(i).test ? "test" : `step ${records.step[i]}`);

/** Where a completion comes from, in words. */
export function origin(i) {
  const all = (name) => [...new Set(ownersOf(i).map((owner) => owner[name]))].filter((value) => value !== null);
  const [rows, seeds] = [all("rows"), all("seed")];
  const parts = [isTraining(i) ? sourceOf(i).stage : "", rows.length ? `${rows.join(", ")} ${rows.join() === "1" ? "row" : "rows"}` : "", seeds.length ? `seed${seeds.length > 1 ? "s" : ""} ${seeds.join(", ")}` : ""];
  return parts.filter(Boolean).join(" · ");
}

const bySample = new Map();
for (let i = 0; i < count; i++) {
  const own = bySample.get(records.sample[i]);
  if (own) own.push(i);
  else bySample.set(records.sample[i], [i]);
}

/** All completions of the same question. */
export const siblings = (i) => bySample.get(records.sample[i]);

/** The group that `i` was sampled in; none on held-out samples. */
export const groupOf = (i) => (isTraining(i) ? siblings(i).filter((k) => records.group[k] === records.group[i]) : []);

/** The answers of the same run to the same held-out sample, by step. */
export function historyOf(i) {
  if (isTraining(i)) return [];
  return siblings(i).filter((k) => records.source[k] === records.source[i]).sort((a, b) => records.step[a] - records.step[b]);
}

/** The last answer of each arm to the same held-out sample; of the same size and seed where the arm has it. */
export function armsOf(i) {
  if (isTraining(i)) return [];
  const [[here], best] = [ownersOf(i), new Map()];
  for (const k of siblings(i)) {
    for (const { arm, rows, seed } of ownersOf(k)) {
      const [fit, other] = [2 * (rows === here.rows) + (seed === here.seed), best.get(arm)];
      const better = other === undefined || fit > other.fit || (fit === other.fit && records.step[k] > records.step[other.k]);
      if (better) best.set(arm, { k, fit });
    }
  }
  return [...new Set(given.arms.filter((arm) => best.has(arm)).map((arm) => best.get(arm).k))];
}
