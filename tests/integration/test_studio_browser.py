"""The studio in a real browser: a whole tuning by keyboard, over a stop, a refresh, and a page and studio killed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_report_browser import ARGUMENTS, CHROMIUM, OUTSIDE
from tests.support.studio import Page, Studio

pytest.importorskip("trl")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
RECIPE = """# The smallest recipe: it trains in seconds.
name: tiny
domain: text
data: {path: ../data/none.jsonl}
base:
  source: nano
  nano: {hidden_size: 32, layers: 1, heads: 1, kv_heads: 1, head_dim: 16, intermediate_size: 32}
train:
  lora: null
  max_steps: 100
  batch_size: 4
  learning_rate: 3.0e-3
  warmup_steps: 2
  precision: fp32
  max_length: 128
  logging_steps: 5
  checkpoint_steps: 5
export: {quantizations: [f16], num_ctx: 256, num_predict: 16, parity_states: 5}
evaluate: {states: 10}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: drivecoach[dev]")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def start() -> Iterator[Callable[[Path], Studio]]:
    """Starts studios, none of which outlives the test."""
    started: list[Studio] = []

    def begin(folder: Path) -> Studio:
        started.append(Studio(folder))
        return started[-1]

    yield begin
    for studio in started:
        studio.kill()


def inside(page: Any) -> None:
    """Nothing lies beside the screen but what is meant to: the link for keyboards, the bar of tabs that scrolls."""
    assert page.evaluate(
        OUTSIDE.replace(".scroll,", ".scroll, .skip, .hidden-text, .shapes, .shapes *, .steps *,")
    ) == [
        False,
        [],
    ]


def test_a_whole_tuning(browser: Any, start: Callable[[Path], Studio], tmp_path: Path) -> None:
    folder, rows = tmp_path / "desk", tmp_path / "rows.jsonl"
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes/tiny.yaml").write_text(RECIPE, encoding="utf-8")
    pairs: list[dict[str, str]] = [{"input": f"问题 {n}", "output": f"回答 {n % 7}。"} for n in range(60)]
    del pairs[3]["output"]
    rows.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), encoding="utf-8")

    studio = start(folder)
    opened = Page(browser, studio.address)
    page = opened.page

    # Data: dropped in, checked, the faulty row put right in place, saved aside.
    page.locator("#check").wait_for()
    assert "token" not in page.url
    assert page.locator("#check").is_disabled() and "file" in page.locator("#check-why").inner_text()
    page.set_input_files("#upload", rows)
    page.locator("#view-findings").wait_for()
    page.select_option("#domain", "text")
    opened.press("#check")
    finding = page.locator(".finding", has_text="Row 4")
    finding.locator("textarea").nth(1).fill("回答 3。")
    finding.locator("textarea").nth(1).press("Tab")
    page.locator("#save").wait_for()
    page.reload()  # an edit outlives the page
    page.locator("#save").wait_for()
    inside(page)
    opened.press("#save")
    page.locator("#file option[value='data/rows-edited.jsonl']:checked").wait_for(state="attached")
    opened.press("#check")
    page.get_by_text("all 60 rows can be used").wait_for()
    assert (folder / "data/rows.jsonl").read_bytes() == rows.read_bytes()

    # Plan: a wrong setting is told beside it; saved once nothing is wrong.
    page.locator("#step-data").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#set-name").wait_for()
    page.locator("[data-setting='data.path'] .wrong-said", has_text="no such file").wait_for()
    page.select_option("[id='set-data.path']", "data/rows-edited.jsonl")
    page.locator("[id='set-train.batch_size']").fill("-4")
    page.locator("[data-setting='train.batch_size'] .wrong-said", has_text="greater than 0").wait_for()
    assert page.locator("#save").is_disabled() and page.locator("#save-why").inner_text()
    page.locator("[id='set-train.batch_size']").fill("4")
    page.locator("#save:enabled").wait_for()
    page.reload()  # a draft outlives the page
    assert page.locator("[id='set-data.path']").input_value() == "data/rows-edited.jsonl"
    page.locator("#save:enabled").wait_for()
    opened.press("#replace", "Space")
    opened.press("#save")
    page.get_by_text("Saved as recipes/tiny.yaml").wait_for()
    inside(page)

    # Train: begun, stopped, gone on with; the page is refreshed, then page and studio are killed.
    opened.press("#to-train")
    opened.press("#start")
    # Past a checkpoint: what is shown may be a moment ahead of what is kept.
    page.locator("#figure-step dd", has_text=re.compile(r"^(1[1-9]|[2-9]\d)")).wait_for()
    assert page.locator("#start").is_disabled() and "tiny" in page.locator("#start-why").inner_text()
    opened.press("#stop")
    page.get_by_text("steps are kept").wait_for()
    inside(page)
    opened.press("#go-on")
    page.locator("#stop:enabled").wait_for()
    page.reload()
    page.locator("#stop:enabled").wait_for()
    opened.close()
    studio.kill()

    studio = start(folder)
    opened = Page(browser, f"{studio.address}#train", width=390)
    page = opened.page
    page.get_by_text("Trained, exported and scored").wait_for()
    assert page.locator(".chart path.loss").count() == 1
    assert page.locator("#figure-step dd").inner_text().startswith("100")
    inside(page)
    for tab in ("data", "plan"):
        opened.press(f"#step-{tab}")
        page.locator({"data": "#file", "plan": "#set-name"}[tab]).wait_for()
        inside(page)
    opened.press("#language")
    page.get_by_text("从一个配方开始").wait_for()
    inside(page)
    opened.close()
    assert json.loads((folder / "runs/tiny/evaluate/manifest.json").read_text())["results"]
    jobs = sorted((folder / ".studio/jobs").iterdir())
    assert [job.name.rpartition("-")[2] for job in jobs] == ["data", "data", "tune", "tune"]
