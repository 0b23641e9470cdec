// A page that is served asks whether there is news, and loads itself again when there is.

import { given } from "./data.js";

const EVERY_MS = 2000;
const QUIET_MS = 4000;

export function startLive() {
  if (!given.live) return;
  let touched = 0;
  for (const kind of ["keydown", "pointerdown", "wheel", "input"]) addEventListener(kind, () => (touched = Date.now()), { passive: true });
  sessionStorage.getItem("vrft_pl scroll") && scrollTo(0, Number(sessionStorage.getItem("vrft_pl scroll")));
  setInterval(async () => {
    try {
      const { stamp } = await (await fetch("/stamp")).json();
      document.body.classList.remove("gone");
      if (stamp === given.live || Date.now() - touched < QUIET_MS || document.querySelector("dialog[open]")) return;
      sessionStorage.setItem("vrft_pl scroll", scrollY);
      location.reload();
    } catch {
      document.body.classList.add("gone"); // the server has ended; what is here can still be read
    }
  }, EVERY_MS);
}
