"""Proof, Ask and Ship in a real browser: from the map to a failing state, two models asked, a file downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivecoach.files import sha256
from tests.integration.test_report_browser import ARGUMENTS, CHROMIUM
from tests.support import crossing as crossing_domain
from tests.support.studio import TOKEN, open_studio

OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const boxes = ".scroll, pre, .steps, .examples, .hidden-text, .skip, .shapes, dialog:not([open]), script";
  const scrolls = (one) => one.closest(boxes);
  const beside = [...document.body.querySelectorAll("*")].filter((one) => !scrolls(one)).filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > width + 1 || box.left < -1);
  });
  return [document.documentElement.scrollWidth > width, beside.map((one) => one.outerHTML.slice(0, 90))];
}"""
"""What lies beside the screen; a wide table, the bar of steps and the examples scroll in boxes of their own."""
RULES = f"rules:{crossing_domain.__file__}:domain"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, crossing: Path) -> Iterator[tuple[str, Path]]:
    """A studio with a small verified run, twice, where no Ollama answers."""
    folder = tmp_path_factory.mktemp("studio")
    for name in ("crossing", "other"):
        shutil.copytree(crossing, folder / "runs" / name)
    with pytest.MonkeyPatch.context() as patch, open_studio(folder) as client:
        patch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        yield str(client.base_url).rstrip("/"), folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: drivecoach[dev]")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_run_is_proved_asked_and_shipped(browser: Any, address: tuple[str, Path], width: int) -> None:
    url, folder = address
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US", accept_downloads=True)
    context.set_default_timeout(60_000)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{url}/?token={TOKEN}#proof?run=crossing&with=other")
    page.wait_for_selector(".map button")
    assert page.evaluate(OUTSIDE) == [False, []]
    assert "the same inputs right" in page.locator(".card", has_text="McNemar").inner_text()
    page.locator(".map button").first.focus()
    page.keyboard.press("Enter")
    case = page.locator("dialog[open] .case").first
    wrong = case.locator(".answer").first.inner_text()
    assert wrong != case.locator(".answer").nth(1).inner_text()
    assert page.evaluate(OUTSIDE) == [False, []]

    case.get_by_role("button", name="Ask about it").click()
    page.wait_for_selector(".model .answer")
    assert page.locator(".model").first.locator(".said").inner_text() in wrong, "the model still says it"
    assert "Not as the rules say: runs/crossing" in page.locator(".verdict").inner_text()
    page.select_option("#ask-b", RULES)
    page.locator(".model h2", has_text="rules:").wait_for()
    verdict = page.locator(".verdict").inner_text()
    assert "They differ: " in verdict and "Not as the rules say: runs/crossing." in verdict
    page.select_option("#ask-f-0", "1")
    page.locator(".ask details .code", has_text="bridge").wait_for(state="attached")
    assert page.evaluate(OUTSIDE) == [False, []]
    page.reload()
    page.wait_for_selector(".model .answer")
    assert page.input_value("#ask-f-0") == "1" and page.input_value("#ask-b") == RULES, "a refresh loses nothing"

    page.locator("#step-ask").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".files a")
    assert page.evaluate(OUTSIDE) == [False, []]
    deploy = page.locator("#do-deploy")
    assert deploy.is_disabled()
    assert "no Ollama answers" in page.locator(f"#{deploy.get_attribute('aria-describedby')}").inner_text()
    shown = page.locator(".files li").first
    with page.expect_download() as downloading:
        shown.locator("a").click()
    got = folder / f"got-{width}"
    downloading.value.save_as(got)
    assert sha256(got) == shown.locator(".digest").inner_text()
    assert downloading.value.suggested_filename == shown.locator("b").inner_text()

    context.close()
    assert said == []
    assert {one.split("/")[2] for one in asked} == {url.split("/")[2]}, "nothing but the studio is asked"
