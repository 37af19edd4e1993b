"""The report in a real browser: it opens from a file, the map leads to failing states, nothing leaves the screen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivecoach.domains.driving import DRIVING
from drivecoach.report.run import write
from tests.support.measured_runs import states, write_certificate, write_figures
from tests.support.runs import make_run

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STATES = states(30)
LINES = [DRIVING.write_input(state) for state in STATES]
OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (one) => one.closest(".scroll, dialog:not([open]), .hidden, script, defs");
  const seen = [...document.body.querySelectorAll("*")].filter((one) => !scrolls(one));
  const found = seen.filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > width + 1 || box.left < -1);
  });
  return [document.documentElement.scrollWidth > width, found.map((one) => one.outerHTML.slice(0, 80))];
}"""
"""What lies beside the screen; a wide table scrolls in a box of its own."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs, of which one has a certificate with wrong answers, the other figures alone."""
    folder = tmp_path_factory.mktemp("report")
    made = []
    for name in ("first", "second"):
        (folder / f"{name}.gguf").write_bytes(name.encode())
        made.append(make_run(folder / name, folder / f"{name}.gguf", LINES))
        metrics = [{"step": step, "loss": 1 / step, "eval_loss": 2 / step} for step in range(1, 9)]
        (folder / name / "train").mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in metrics)
        (folder / name / "train/metrics.jsonl").write_text(lines, encoding="utf-8")
        write_figures(made[-1].folder, made[-1].quantized, {"uniform": STATES}, {*LINES[: 2 + len(made)]})
    write_certificate(made[0].folder, made[0].quantized, STATES, {*LINES[:5]})
    return write([run.folder for run in made], folder / "page")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: drivecoach[dev]")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield opened
        opened.close()


class Opened:
    """A page in a new profile, and what it asked for and complained of."""

    def __init__(self, browser: Any, file: Path, width: int, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("[data-chart] svg")

    def close(self, file: Path) -> None:
        """Nothing was complained of, and nothing was asked for but the file."""
        self.context.close()
        assert self.said == []
        assert self.asked == [file.as_uri()]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_lies_beside_the_screen(browser: Any, page_file: Path, width: int) -> None:
    opened = Opened(browser, page_file, width)
    assert opened.page.evaluate(OUTSIDE) == [False, []]
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.page.locator("[data-tab='map-1']").click()
    assert opened.page.evaluate(OUTSIDE) == [False, []]
    opened.page.locator("[data-tab='map-0']").click()
    opened.page.locator(".map [data-cell]").first.click()
    assert opened.page.evaluate(OUTSIDE) == [False, []]
    opened.close(page_file)


def test_the_map_opens_to_a_failing_state_with_what_was_said_and_what_is_right(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, 1280, locale="en-US")
    page = opened.page
    cell = page.locator(".map [data-cell]").first
    cell.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    assert "answered wrong" in dialog.inner_text()
    said = dialog.locator(".said").all_inner_texts()
    assert "一切正常<b>" in said, "a wrong answer, its markup as text"
    assert {*said} & {DRIVING.teach(state).speech for state in STATES[:5]}, "the right one beside it"
    assert "车门" in dialog.locator("dl").first.inner_text()
    assert page.locator("dialog b").count() == 0
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    opened.close(page_file)


def heads(page: Any, text: str) -> bool:
    """Whether a heading with this text is to be seen."""
    return bool(page.locator("h2 span:visible", has_text=text).count())


def test_language_and_theme_follow_the_browser_and_their_switches(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, 1280, locale="zh-CN", color_scheme="dark")
    page = opened.page

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert heads(page, "学习过程")
    assert not heads(page, "How it learned")
    dark = ground()
    page.locator("#language").click()
    page.locator("#theme").click()
    assert heads(page, "How it learned")
    assert ground() != dark
    page.wait_for_function("document.querySelector('[data-chart=loss]').textContent.includes('training')")
    page.reload()
    page.wait_for_selector("[data-chart] svg")
    assert heads(page, "How it learned"), "the choice is kept"
    opened.asked.pop()
    opened.close(page_file)


def test_tabs_are_moved_through_by_keys(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, 1280)
    tab = opened.page.locator("[data-tab='map-0']")
    assert opened.page.locator("#map-1").is_hidden()
    tab.focus()
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("#map-1").is_visible() and opened.page.locator("#map-0").is_hidden()
    opened.close(page_file)
