"""Photograph a page of `vrft_pl report` for a README: its scores, its first curves and its completions, from above.

vrft_pl ablate --config configs/ablations/quick.yaml && vrft_pl report runs/quick
python tools/picture_page.py runs/quick/report.html --output report.png
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PLACES = ("#scores", "#families .family", "#completions .browser")
"""What is photographed, the first of each; what a page has none of is left out."""
WIDTH, HEIGHT, MARGIN = 1300, 860, 20
MOST_BYTES = 250_000
GROWN = """browser => {
  const needed = browser.querySelector(".detail").scrollHeight + 2;
  browser.style.height = `${Math.max(browser.offsetHeight, needed)}px`;
}"""
"""Makes the browser of completions as tall as what it shows, so that nothing of it is cut off, and its borders."""


def main() -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="the HTML file")
    parser.add_argument("--sort", default="disputed", help="how completions are sorted; the first is shown")
    parser.add_argument("--all", action="store_true", help="show completions of rows without a picture too")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--output", type=Path, default=Path("report.png"))
    args = parser.parse_args()
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=args.theme)
        seen = "" if args.all else "&picture=with+a+picture"
        page.goto(f"{args.page.resolve().as_uri()}#?sort={args.sort}{seen}")
        page.wait_for_selector("body.ready")
        sheet = stacked(photographs(page))
        browser.close()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    few = sheet.quantize(method=Image.Quantize.MAXCOVERAGE)  # keeps the colours of the arms, which cover little
    few.save(args.output, optimize=True)
    if (size := args.output.stat().st_size) > MOST_BYTES:
        parser.error(f"Expected at most {MOST_BYTES:,} bytes, but {args.output} has {size:,}.")
    print(f"Wrote {args.output}, {sheet.width} x {sheet.height} pixels, {size:,} bytes")


def photographs(page: Page) -> list[Image.Image]:
    """One picture of each place that the page has."""
    found = []
    for browser in page.locator(".browser").all():
        browser.evaluate(GROWN)
    for bar in page.locator(".bar").all():
        bar.evaluate("bar => { bar.style.position = 'static'; }")  # it would lie over what is taller than the window
    for place in (page.locator(place).first for place in PLACES):
        if place.count():
            place.scroll_into_view_if_needed()
            page.wait_for_timeout(500)  # curves are drawn once they are in view
            found.append(Image.open(io.BytesIO(place.screenshot(animations="disabled"))).convert("RGB"))
    return found


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Pictures below one another, on the paper of the first."""
    height = sum(picture.height + MARGIN for picture in pictures) + MARGIN
    sheet = Image.new("RGB", (WIDTH, height), pictures[0].getpixel((0, 0)))
    top = MARGIN
    for picture in pictures:
        sheet.paste(picture, ((WIDTH - picture.width) // 2, top))
        top += picture.height + MARGIN
    return sheet


if __name__ == "__main__":
    main()
