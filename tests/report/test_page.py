"""The page in a real browser."""

import base64
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from reports import HOSTILE, held_out, write_ablation, write_run

from vrft_pl.__main__ import main
from vrft_pl.runs import MetricsLogger, RunFolder

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """Opens a page; at the end of the test there may be no error in its console."""
    contexts, errors = [], []

    def open_page(path, **context):
        options = {"viewport": {"width": 1300, "height": 900}} | context
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.append(request.url) if request.url.startswith("http") else None)
        page.goto(path if str(path).startswith("http") else f"file://{path}")
        page.wait_for_selector("body.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [error for error in errors if not error.startswith("http://127.0.0.1:")] == []


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    """The page of an ablation."""
    folder = write_ablation(tmp_path_factory.mktemp("ablation"))
    main(["report", str(folder.path)])
    return folder.path / "report.html"


def listed(page):
    """How many completions are listed."""
    return int(page.locator("#count").inner_text().split(" ")[0].replace(",", ""))


def choose(page, name, value):
    page.select_option(f"#by-{name}", value)


def first_score(page):
    return float(page.locator(".row .score").first.inner_text())


def test_scores_stand_beside_what_looks_at_nothing(opened, ablation):
    page = opened(ablation)
    table = page.locator("#scores table.comparison")
    assert table.locator("tr.constants").inner_text().split() == ["best", "constant", "answer", "0.310", "0.280"]
    rft = table.locator("tbody tr:visible", has_text="rft")
    assert "0.810" in rft.inner_text()
    assert "0.785 to 0.835" in rft.inner_text()
    assert table.locator("tbody tr:visible", has_text="base").locator(".below").inner_text() == "0.160"


def test_one_size_is_shown_at_a_time(opened, ablation):
    page = opened(ablation)
    rft = page.locator("#scores table.comparison tbody tr:visible", has_text="rft")
    assert rft.count() == 1
    page.locator("#sizes label", has_text="16").click()
    assert rft.count() == 1
    assert "0.660" in rft.inner_text()
    assert page.locator("#costs tbody tr:visible").count() == 3


def test_the_verdict_the_contrasts_the_search_and_what_failed_are_there(opened, ablation):
    page = opened(ablation)
    assert "rft is 15.0 points above sft" in page.locator("#verdict").inner_text()
    assert "No space <b>left</b>." in page.locator("#verdict .failure").inner_text()
    first, second = page.locator("#contrasts tr.primary, #contrasts tr.exploratory").all()
    assert "+0.100 to +0.200" in first.inner_text()
    assert "0.008" in first.inner_text()
    assert not page.locator("#contrasts tr.sentence").is_visible()  # the verdict says it
    assert not second.is_visible()
    page.locator("#contrasts summary", has_text="1 exploratory").click()
    assert "-0.090 to +0.050" in second.inner_text()
    page.locator("#search summary").click()
    assert "at the edge of its grid" in page.locator("#search tr.chosen").inner_text()
    assert "model.method" in page.locator("#configs table.differences").inner_text()


def test_curves_are_drawn_smoothed_and_hidden(opened, ablation):
    page = opened(ablation)
    assert page.locator("#families figcaption").count() > 4
    page.locator("#curves").scroll_into_view_if_needed()
    canvas = page.locator("#families canvas").first
    canvas.wait_for()
    pixels = "canvas => canvas.toDataURL()"
    before = canvas.evaluate(pixels)
    page.locator("#smoothing").fill("0.9")
    assert page.locator("#smoothing-value").inner_text() == "0.90"
    smooth = page.locator("#families canvas").first.evaluate(pixels)
    page.locator("#legend label", has_text="rft").click()
    assert len({before, smooth, page.locator("#families canvas").first.evaluate(pixels)}) == 3
    page.locator("#families .u-over").first.hover()
    assert re.match(r"step \d+: sft 1\.\d+$", page.locator("#families .reading").first.inner_text())
    assert "train/truncated 0" in page.locator("#still").inner_text()
    assert page.locator("#legend label").all_inner_texts() == ["sft", "rft"]  # the base was not trained
    page.locator("#efficiency").scroll_into_view_if_needed()
    page.locator("#efficiency canvas").wait_for()


def test_large_numbers_fit_beside_an_axis(opened, tmp_path):
    logger = MetricsLogger(tmp_path)
    for step in range(2):
        logger.log_metrics({"train/flops": 2.5e12, "train/lr": 1e-6, "train/tokens": 99_999.0}, step)
    logger.save()
    main(["report", str(tmp_path)])
    still = opened(tmp_path / "report.html").locator("#still").inner_text()
    assert "train/flops 2.5e12, train/lr 1e-6, train/tokens 99999" in still


def test_a_long_name_leaves_its_score_in_sight(opened, tmp_path):
    record = replace(held_out(0, 0, 0.9, 0, picture=False), scores={"x" * 400: 0.5})
    RunFolder(tmp_path).append(RunFolder.PREDICTIONS, [record])
    main(["report", str(tmp_path)])
    page = opened(tmp_path / "report.html")
    assert page.locator("#detail").evaluate("node => node.scrollWidth <= node.clientWidth")


def test_completions_are_filtered_by_what_they_are_of(opened, ablation):
    page = opened(ablation)
    everything = listed(page)
    found = {}
    for name, value in (
        ("split", "target/val"), ("arm", "rft"), ("rows", "16"), ("seed", "1"), ("step", "last"), ("verdict", "cut"),
        ("picture", "with a picture"), ("verdict", "right"), ("verdict", "wrong"), ("verdict", "unread"),
    ):  # fmt: skip
        choose(page, name, value)
        found[value] = listed(page)
        choose(page, name, "")
    assert listed(page) == everything
    assert all(0 < count < everything for count in found.values())
    assert found["target/val"] == 3 * 8 + 2 * 2 * 3 * 8  # of each seed: base at no size, two arms at two sizes
    assert found["right"] + found["wrong"] == everything
    assert found["unread"] == found["cut"]


def test_completions_are_filtered_by_score_and_text_and_cleared(opened, ablation):
    page = opened(ablation)
    everything = listed(page)
    page.fill("#by-low", "0.25")
    page.fill("#by-high", "0.5")
    playwright.expect(page.locator("#count")).to_contain_text("of")
    assert 0.25 <= first_score(page) <= 0.5
    page.fill("#by-text", "RECTANGLE OF SCENE 3?")
    page.wait_for_timeout(150)
    assert 0 < listed(page) < everything
    assert "of scene 3" in page.locator(".question").inner_text()
    page.fill("#by-text", "what no one ever wrote")
    page.locator("#empty").wait_for(state="visible")
    assert listed(page) == 0
    page.click("#filters button[type=reset]")
    assert listed(page) == everything
    assert page.input_value("#by-text") == ""


def test_completions_are_sorted(opened, ablation):
    page = opened(ablation)
    choose(page, "sort", "worst")
    worst = first_score(page)
    choose(page, "sort", "best")
    assert first_score(page) > worst == 0
    choose(page, "sort", "changed")
    steps = page.locator("#detail section", has_text="Over training").locator("tbody tr")
    scores = [float(text) for text in steps.locator(".gauge").all_inner_texts()]
    assert abs(scores[-1] - scores[0]) > 0.5
    choose(page, "sort", "disputed")
    cards = [float(text) for text in page.locator(".card .gauge").all_inner_texts()]
    assert max(cards) - min(cards) > 0.3
    choose(page, "score", "Format")
    choose(page, "sort", "order")
    assert page.locator(".row").first.get_attribute("data-item") == "0"


def test_a_completion_is_shown_with_its_picture_marks_rewards_and_reasons(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "target/val")
    choose(page, "verdict", "unread")
    detail = page.locator("#detail")
    assert "not read: no answer" in detail.locator(".scores").inner_text()
    assert detail.locator(".badge").inner_text() == "cut off at the limit"
    choose(page, "verdict", "right")
    picture = detail.locator(".seen .picture").first
    assert picture.locator("img").evaluate("image => image.naturalWidth") == 160
    assert picture.locator("svg").get_attribute("viewBox") == "0 0 640 480"
    assert picture.locator("rect.truth").count() == picture.locator("rect.answer").count() == 1
    detail.locator("label.layer-truth").click()
    assert not picture.locator("rect.truth").is_visible()
    detail.locator("label.layer-answer").click()
    assert not picture.locator("rect.answer").is_visible()
    detail.locator("label.layer-answer").click()
    detail.locator(".enlarge").first.click()
    assert page.locator("#enlarged img").is_visible()
    page.click("#close-enlarged")
    assert not page.locator("#enlarged").is_visible()


def test_a_group_is_shown_with_its_advantages(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "train")
    group = page.locator("#detail section", has_text="Group").locator("tbody tr")
    assert group.count() == 4
    assert sum(float(text.replace("−", "-")) for text in group.locator(".lean").all_inner_texts()) == pytest.approx(
        0, abs=0.1
    )
    group.locator("button.pick").nth(2).click()
    assert "here" in group.nth(2).get_attribute("class")


def test_answers_are_followed_over_training_and_between_arms(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "val")
    choose(page, "arm", "sft")
    history = page.locator("#detail section", has_text="Over training").locator("tbody tr")
    assert history.locator("button.pick").all_inner_texts() == ["step 0", "step 20", "step 40"]
    history.locator("button.pick").nth(1).click()
    assert "step 20" in page.locator("#detail .facts").inner_text()
    page.locator(".card button.pick", has_text="rft").click()
    assert page.locator("#detail .facts .arm").inner_text() == "rft"
    assert page.locator(".card .picture").count() >= 1


def test_all_arms_beside_each_other_are_in_reach_and_a_tall_window_shows_them_at_once(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "target/val")
    choose(page, "picture", "with a picture")
    last = page.locator(".card").last
    bottom = "node => node.getBoundingClientRect().bottom"
    page.locator("#detail").evaluate("detail => detail.scrollTo(0, detail.scrollHeight)")
    assert last.evaluate(bottom) <= page.locator(".browser").evaluate(bottom)
    tall = opened(ablation, viewport={"width": 1300, "height": 1300})
    choose(tall, "split", "target/val")
    choose(tall, "picture", "with a picture")
    assert tall.locator("#detail").evaluate("detail => detail.scrollHeight == detail.clientHeight")


def test_the_keyboard_does_it_all(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "val")
    page.locator("#by-split").blur()
    start = page.locator(".row[aria-selected=true]").get_attribute("data-item")
    facts = page.locator("#detail .facts")
    page.keyboard.press("j")
    assert page.locator(".row[aria-selected=true]").get_attribute("data-item") != start
    page.keyboard.press("k")
    assert page.locator(".row[aria-selected=true]").get_attribute("data-item") == start
    first = facts.inner_text()
    page.keyboard.press("]")
    later = facts.inner_text()
    assert later != first
    page.keyboard.press("[")
    assert facts.inner_text() == first
    arm = page.locator("#detail .facts .arm").inner_text()
    page.keyboard.press("a")
    assert page.locator("#detail .facts .arm").inner_text() != arm
    page.locator("#list").focus()
    page.keyboard.press("End")
    assert page.locator(".row").last.get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert page.locator(".row").first.get_attribute("aria-selected") == "true"
    page.keyboard.press("/")
    page.keyboard.type("jk?t")
    page.keyboard.press("Escape")
    assert page.input_value("#by-text") == "jk?t"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    choose(page, "split", "train")
    page.fill("#by-text", "")
    page.wait_for_timeout(150)
    page.locator("#by-text").blur()
    page.keyboard.press("g")
    assert "here" in page.locator("#detail section", has_text="Group").locator("tbody tr").nth(1).get_attribute("class")
    page.click("#previous")
    page.click("#next")
    page.click("#show-help")
    page.click("#close-help")


def test_light_and_dark_follow_the_system_until_someone_chooses(opened, ablation):
    page = opened(ablation, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 22, 26)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(250, 249, 246)"
    page.reload()
    page.wait_for_selector("body.ready")
    assert page.evaluate(background) == "rgb(250, 249, 246)"
    page.keyboard.press("t")
    assert page.evaluate(background) == "rgb(20, 22, 26)"


def test_a_phone_shows_the_list_or_the_completion(opened, ablation):
    page = opened(ablation, viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    detail, list_ = page.locator("#detail"), page.locator("#list")
    assert list_.is_visible()
    assert not detail.is_visible()
    assert not page.locator("#by-arm").is_visible()
    page.click("#more")
    choose(page, "arm", "rft")
    page.locator(".row").nth(1).tap()
    assert detail.is_visible()
    assert not list_.is_visible()
    assert detail.evaluate("node => node.scrollWidth <= node.clientWidth")
    page.click("#back")
    assert list_.is_visible()


def test_what_is_looked_at_can_be_linked(opened, ablation):
    page = opened(ablation)
    choose(page, "arm", "sft")
    page.locator(".row").nth(3).click()
    item, count = page.locator(".row[aria-selected=true]").get_attribute("data-item"), listed(page)
    playwright.expect(page).to_have_url(re.compile(f"at={item}$"))
    page.reload()
    page.wait_for_selector("body.ready")
    assert listed(page) == count
    assert page.locator(".row[aria-selected=true]").get_attribute("data-item") == item


def test_the_address_is_followed_and_left_alone(opened, ablation):
    page = opened(ablation)
    choose(page, "arm", "sft")
    sft = listed(page)
    playwright.expect(page).to_have_url(re.compile("arm=sft"))
    page.click("nav a[href='#scores']")
    choose(page, "arm", "rft")
    playwright.expect(page).to_have_url(re.compile("arm=rft"))
    page.go_back()
    playwright.expect(page.locator("#by-arm")).to_have_value("sft")
    assert listed(page) == sft
    page.evaluate("location.hash = '#?arm=base&at=0'")
    playwright.expect(page.locator("#by-arm")).to_have_value("base")
    section = opened(f"{ablation}#curves")
    section.wait_for_timeout(300)
    assert section.url.endswith("#curves")


def test_an_address_that_asks_for_what_is_not_there_shows_everything(opened, ablation):
    page = opened(f"{ablation}#?sort=size&score=nope&arm=nobody&at=-5")
    assert page.input_value("#by-sort") == "worst"
    assert listed(page) == listed(opened(ablation))


def test_what_was_looked_at_beside_the_list_is_linked_too(opened, ablation):
    page = opened(ablation)
    choose(page, "split", "target/val")
    choose(page, "arm", "sft")
    page.keyboard.press("Escape")
    page.locator("#detail .card .pick", has_text="rft").click()
    playwright.expect(page.locator("#detail .facts .arm")).to_have_text("rft")
    playwright.expect(page).to_have_url(re.compile(r"at=\d+$"))
    page.wait_for_timeout(200)
    page.reload()
    page.wait_for_selector("body.ready")
    assert page.locator("#detail .facts .arm").inner_text() == "rft"
    assert page.input_value("#by-arm") == "sft"


def test_where_nothing_fits_nothing_is_shown(opened, ablation):
    page = opened(ablation)
    page.fill("#by-text", "no such words")
    playwright.expect(page.locator("#empty")).to_be_visible()
    assert not page.locator("#detail").is_visible()
    page.click("#filters button[type=reset]")
    assert page.locator("#detail").is_visible()


def test_a_run_that_seeds_share_is_found_by_each_of_them(opened, tmp_path):
    folder = write_ablation(tmp_path, sizes=(16,), rows=2)
    results = folder.results()
    shared = next(cell.tests for cell in results.cells if cell.arm == "base")
    cells = tuple(replace(cell, tests=shared) if cell.arm == "base" else cell for cell in results.cells)
    folder.write(replace(results, cells=cells))
    main(["report", str(tmp_path)])
    page = opened(tmp_path / "report.html")
    choose(page, "arm", "base")
    counts = []
    for seed in ("0", "1", "2"):
        choose(page, "seed", seed)
        counts.append(listed(page))
    assert counts == [4, 4, 4]
    assert "seeds 0, 1, 2" in page.locator("#detail .facts").inner_text()


@pytest.mark.parametrize("name", ["constructor", "__proto__", "toString"])
def test_a_reward_may_have_the_name_of_anything(opened, tmp_path, name):
    record = replace(held_out(0, 0, 0.9, 0, picture=False), scores={name: 0.5}, parse_failures={"other": "no_answer"})
    RunFolder(tmp_path).append(RunFolder.PREDICTIONS, [record])
    main(["report", str(tmp_path)])
    assert name in opened(tmp_path / "report.html").locator("#detail .scores").inner_text()


@pytest.mark.parametrize("field", ["completion", "problem", "answer", "id", "split"])
def test_what_a_stranger_wrote_is_shown_as_text(opened, tmp_path, field):
    folder = RunFolder(tmp_path / "run")
    text = HOSTILE + ("long " * 20_000 if field == "completion" else "")
    folder.append(folder.PREDICTIONS, [replace(held_out(0, 0, 1.0, 0, picture=False), **{field: text})])
    main(["report", str(folder)])
    page = opened(folder.path / "report.html")
    place = {"completion": ".written", "problem": ".question", "answer": ".truth-text", "id": ".id", "split": ".facts"}[
        field
    ]
    shown = page.locator(f"#detail {place}").evaluate("node => node.textContent")
    assert text.replace("\ud83d", "") in shown.replace("\ud83d", "").replace("\ufffd", "")
    assert page.title() == "run"
    assert page.locator("#detail script, #detail img, #detail style").count() == 0
    assert page.locator("body").is_visible()


def test_names_that_a_stranger_chose_are_text_too(opened, tmp_path):
    name = '<img src=x onerror="document.title=1"> {{ 7 * 7 }}'
    record = replace(held_out(0, 0, 0.9, 0, picture=False), scores={name: 0.5}, parse_failures={name: name})
    record = replace(record, truth=({"shape": [1, 2, 30, 40], "label": name, "faint": True},))
    folder = RunFolder(tmp_path / "run")
    folder.append(folder.PREDICTIONS, [record])
    folder.write(folder.SUMMARY, {"before": {}, "after": {f"val/val/{name}": 0.5}})
    folder.write_text(folder.CONFIG, json.dumps({"model": name}))
    main(["report", str(folder)])
    page = opened(folder.path / "report.html")
    assert name in page.locator("#scores").inner_text()
    assert f"not read: {name.replace('_', ' ')}" in page.locator("#detail .scores").inner_text()
    page.locator("#configs summary").click()
    assert "<img src=x" in page.locator("#configs pre").inner_text()
    assert page.title() == "run"


def test_the_page_may_run_nothing_and_ask_nobody(ablation, opened):
    page = opened(ablation)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'none'" in policy
    ran = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
    text = ablation.read_text()
    assert len(re.findall(r"<script", text)) == 3
    assert not re.search(r"\s(onclick|onload|onerror|style)=", text.partition('<script type="application/json"')[0])
    other = page.context.new_page()
    other.goto(f"file://{ablation}")
    other.evaluate(ran)
    assert other.evaluate("window.ran") is None


def big_run(folder, count):
    """Held-out answers of 200 samples at many steps, each with a text of its own."""
    thought = "The picture has a thing that is red and others that are not; it is near the middle of it. " * 2
    for step in range(count // 200):
        records = (held_out(step, row, 0.5, step) for row in range(200))
        folder.append(folder.PREDICTIONS, (replace(r, completion=f"{thought}{step} {r.completion}") for r in records))


@pytest.mark.slow
def test_twenty_thousand_completions_are_quick_and_small(opened, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.scene", lambda row: (b"", [40.0, 40.0, 200.0 + row, 160.0]))
    folder = RunFolder(tmp_path / "run")
    big_run(folder, 20_000)
    main(["report", str(folder)])
    path = folder.path / "report.html"
    assert path.stat().st_size < 15e6
    page = opened(path)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2000
    assert listed(page) == 20_000
    assert page.locator(".row").count() < 60
    timed = """([id, value, kind]) => {
        const control = document.getElementById(id), start = performance.now();
        control.value = value;
        control.dispatchEvent(new Event(kind));
        return performance.now() - start;
    }"""
    page.evaluate(timed, ["by-split", "", "change"])
    for name, values in (("verdict", ("wrong", "right")), ("sort", ("changed", "worst")), ("step", ("last", ""))):
        times = [page.evaluate(timed, [f"by-{name}", value, "change"]) for value in values * 3]
        assert min(times) < 200, name
    page.click("#filters button[type=reset]")
    typed = """(text) => new Promise((done) => {
        const start = performance.now(), count = document.getElementById('count');
        new MutationObserver(() => done(performance.now() - start)).observe(count, { childList: true });
        document.getElementById('by-text').value = text;
        document.getElementById('by-text').dispatchEvent(new Event('input'));
    })"""
    assert min(page.evaluate(typed, f"scene {row}?") for row in (17, 18, 19)) < 200
    assert listed(page) == 100


def test_a_run_recorded_before_there_were_pictures_is_shown_without(opened, tmp_path):
    folder = RunFolder(tmp_path / "old")
    row = held_out(0, 0, 0.9, 0, picture=False).row_of_json()
    old = {k: v for k, v in row.items() if k not in ("pictures", "size", "truth", "marks")} | {
        "boxes": [[1, 2, 30, 40]]
    }
    folder.path.mkdir()
    (folder.path / "predictions.jsonl").write_text(json.dumps(old) + "\n")
    main(["report", str(folder)])
    page = opened(folder.path / "report.html")
    assert page.locator("#detail .picture").count() == 0
    assert "[" in page.locator("#detail .written").inner_text()
    assert not page.locator("#by-picture").is_visible()


def test_each_picture_is_in_the_page_once(ablation):
    data = json.loads(ablation.read_text().partition('id="data">')[2].partition("</script>")[0])
    pictures = data["completions"]["pictures"]
    assert len(pictures) == 8
    assert base64.b64decode(next(iter(pictures.values()))["data"])[8:12] == b"WEBP"


@pytest.mark.slow
def test_a_live_page_shows_what_a_run_writes_meanwhile(opened, tmp_path):
    folder = write_run(tmp_path / "run", rows=2)
    code = "import sys; from vrft_pl.__main__ import main; main(sys.argv[1:])"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "report", str(folder), "--live", "true"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline()).group()
        page = opened(url)
        before = listed(page)
        assert page.locator(".live").is_visible()
        time.sleep(0.05)
        folder.append(folder.PREDICTIONS, [held_out(50, 0, 0.9, 0)])
        playwright.expect(page.locator("#count")).to_have_text(f"{before + 1}", timeout=20_000)
        answer = page.request.get(url, headers={"Host": "evil.example"})
        assert answer.status == 403
        assert page.request.get(f"{url}else").status == 404
        page.close()
    finally:
        server.terminate()
        server.wait()
