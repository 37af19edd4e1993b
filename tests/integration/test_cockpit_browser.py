"""The cockpit in a real browser: a drive by keys alone, exported, scored and replayed; nothing leaves 127.0.0.1."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from drivecoach.cli.app import make_app
from drivecoach.domains.driving import DRIVING
from drivecoach.live.source import read_records
from drivecoach.runtime.rules import Rules
from drivecoach.serve.current import Served
from drivecoach.serve.limits import Limits
from tests.integration.test_report_browser import ARGUMENTS, CHROMIUM, OUTSIDE
from tests.support.serving import serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    limits = Limits(drive_seconds=600)  # no drive ends by itself
    with serving(Served(Rules(DRIVING), DRIVING, "strict", limits), limits=limits) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: drivecoach[dev]")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield opened
        opened.close()


class Cockpit:
    """The page, driven by keys alone; what it complained of and asked for is looked at when it is closed."""

    def __init__(self, browser: Any, url: str, width: int, *, speaks: str = "", **settings: Any) -> None:
        self.url = url
        self.context = browser.new_context(viewport={"width": width, "height": 844}, **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        if speaks:
            self.page.add_init_script(speaks)
        self.page.goto(f"{url}/cockpit")
        self.page.wait_for_selector("#begin:not([disabled])")

    def __enter__(self) -> Cockpit:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.context.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Nothing was complained of, and nobody but our own server was asked."""
        assert self.said == []
        assert [one for one in self.asked if not one.startswith((f"{self.url}/", f"blob:{self.url}/"))] == []

    def fits(self) -> None:
        """Nothing lies beside the screen."""
        assert self.page.evaluate(OUTSIDE.replace(".scroll,", ".scroll, .actions, .events, .hidden-text, .skip,")) == [
            False,
            [],
        ]

    def reach(self, selector: str) -> None:
        """Go to a control by the tabulator key."""
        for _ in range(80):
            if self.page.evaluate("(one) => document.activeElement.matches(one)", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no key leads to {selector}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def clutch(self, *keys: str) -> None:
        """Move the clutch to where it stays, and wait until it is there."""
        self.reach(".clutch .slot")
        self.press(*keys)

    def kmh(self) -> float:
        """What the gauge shows."""
        return float(self.page.locator("#gauge-speed .gauge-number").text_content())

    def until(self, so: Callable[[], bool]) -> None:
        """Wait until it is so."""
        end = time.monotonic() + 30
        while not so():
            assert time.monotonic() < end
            self.page.wait_for_timeout(50)

    def pedal_at(self, name: str, percent: int) -> None:
        self.page.wait_for_selector(f".{name} .slot[aria-valuenow='{percent}']")

    def lamp(self, name: str, state: int) -> None:
        self.page.wait_for_selector(f"[data-lamp='{name}'][data-state='{state}']")

    def logged(self, **data: str) -> Any:
        """The newest line of the time line with these, once it is there."""
        found = "".join(f"[data-{name}='{value}']" for name, value in data.items())
        return self.page.wait_for_selector(f"#log li{found}", state="attached")


@pytest.mark.parametrize(("width", "locale", "scheme"), [(390, "en-US", "dark"), (1280, "zh-CN", "light")])
def test_nothing_lies_beside_the_screen(browser: Any, url: str, width: int, locale: str, scheme: str) -> None:
    with Cockpit(browser, url, width, locale=locale, color_scheme=scheme, reduced_motion="reduce") as cockpit:
        cockpit.fits()
        cockpit.reach("#begin")
        cockpit.press("Enter")
        cockpit.logged(kind="say")
        cockpit.fits()
        cockpit.reach("#again")
        cockpit.press("Enter")
        cockpit.page.locator("#vehicle").select_option("自动挡")
        cockpit.page.locator("#what").select_option("course:坡道定点停车和起步")
        assert cockpit.page.locator("#begin").is_disabled()
        assert cockpit.page.locator("#setup-why").inner_text(), "a button that is off says why"
        cockpit.reach("#tab-drive")
        cockpit.press("ArrowRight")
        assert cockpit.page.locator("#replay").is_visible() and cockpit.page.locator("#controls").is_hidden()
        cockpit.fits()


def stall_and_drive_with_an_open_door(cockpit: Cockpit) -> None:
    page = cockpit.page
    cockpit.reach("#begin")
    cockpit.press("Enter")
    page.wait_for_selector("#again:not([hidden])")
    cockpit.press("b")
    cockpit.lamp("belt", 0)
    page.keyboard.down("a")
    cockpit.pedal_at("clutch", 100)
    cockpit.press("e")
    cockpit.lamp("engine", 1)
    cockpit.press("1", "h")
    cockpit.lamp("handbrake", 0)
    page.keyboard.up("a")  # let go at once
    cockpit.lamp("engine", 2)
    stalled = cockpit.logged(kind="say", rule="C10")
    assert "熄火别慌，踩离合回空挡再打火" in stalled.inner_text()

    cockpit.clutch("End")
    cockpit.pedal_at("clutch", 100)
    cockpit.press("0", "e")
    cockpit.lamp("engine", 1)
    cockpit.press("1")
    page.wait_for_selector("[data-gear='1挡'][aria-checked='true']")
    cockpit.clutch(*["ArrowUp"] * 11)  # where it bites
    cockpit.until(lambda: cockpit.kmh() >= 4)
    cockpit.press("o")
    cockpit.lamp("door", 1)
    assert "车门没关" in cockpit.logged(kind="say", level="危险", rule="A02").inner_text()
    page.wait_for_selector("#coach[data-grade='grave'] .shape.grave")
    assert "车门没关好不得行车" in page.locator("#why").inner_text()
    assert re.search(r"\d ms", page.locator("#why").inner_text())
    cockpit.fits()
    cockpit.clutch("End")
    page.keyboard.down("s")
    cockpit.press("o")
    cockpit.lamp("door", 0)
    cockpit.until(lambda: cockpit.kmh() == 0)


def test_a_drive_by_keys_with_a_stall_and_an_open_door_on_a_narrow_screen(browser: Any, url: str) -> None:
    with Cockpit(browser, url, 390, locale="en-US") as cockpit:
        stall_and_drive_with_an_open_door(cockpit)


def test_a_whole_drive_by_keys_is_exported_scored_and_replayed(browser: Any, url: str, tmp_path: Path) -> None:
    with Cockpit(browser, url, 1280, locale="zh-CN") as cockpit:
        page = cockpit.page
        stall_and_drive_with_an_open_door(cockpit)
        cockpit.reach("#export")
        with page.expect_download() as waited:
            cockpit.press("Enter")
        file = tmp_path / waited.value.suggested_filename
        waited.value.save_as(file)
        states = [str(record.state) for record in read_records(file, DRIVING)]
        assert any("车门:打开" in state and "速度:静止" not in state for state in states)
        assert any("发动机:熄火" in state and "挡位:1挡" in state for state in states)
        scored = CliRunner().invoke(make_app(["live"]), ["live", "--score", str(file), "--model", "rules", "--json"])
        score = json.loads(scored.stdout)[0]
        assert (scored.exit_code, score["missed"], score["dangers"] >= 1) == (0, 0, True)

        cockpit.reach("#replay-own")
        cockpit.press("Enter")
        page.wait_for_selector("#play:not([disabled])")
        cockpit.reach("#rate")
        cockpit.press("End")  # eight times as fast
        assert page.locator("#rate").input_value() == "8"
        cockpit.reach("#play")
        cockpit.press("k")
        assert "车门没关" in cockpit.logged(kind="say", level="危险", rule="A02").inner_text()
        cockpit.reach("#place")
        cockpit.press("Home")
        assert page.locator("#log li[data-level='危险']").count() == 0
        page.reload()
        page.wait_for_selector("#export:not([disabled])")  # one's own drive is still there


def test_a_recorded_drive_and_a_file_of_ones_own_are_played_and_broken_lines_are_told(
    browser: Any, url: str, tmp_path: Path
) -> None:
    with Cockpit(browser, url, 1280, locale="en-US") as cockpit:
        page = cockpit.page
        cockpit.reach("#tab-drive")
        cockpit.press("ArrowRight")
        page.locator("#recorded").select_option("hill")
        page.wait_for_selector("#play:not([disabled])")
        cockpit.reach("#place")
        cockpit.press("End")
        assert page.locator("#log li[data-kind='say']").count() > 5
        assert page.locator("#marks i").count() > 5
        page.locator("#voice").select_option("essential")  # no danger in this drive
        page.wait_for_selector("#marks:empty", state="attached")
        page.wait_for_selector("#play:not([disabled])")
        assert float(page.locator("#place").input_value()) > 5, "it goes on where it was"
        page.locator("#voice").select_option("normal")
        page.wait_for_selector("#marks i", state="attached")
        states = [DRIVING.write_input(state) for state, _ in zip(DRIVING.inputs(), range(3), strict=False)]
        own = tmp_path / "own.jsonl"
        own.write_text("\n".join([*states, "<img src=x onerror=alert(1)>"]), encoding="utf-8")
        page.locator("#file").set_input_files(own)
        page.locator("#player-said", has_text="own.jsonl").wait_for()
        assert "lines that cannot be read: 1" in page.locator("#player-said").inner_text()
        cockpit.reach("#place")
        cockpit.press("End")
        assert "<img src=x" in cockpit.logged(kind="trouble").inner_text(), "as text"
        own.write_bytes(b"x" * (2 << 20))
        page.locator("#file").set_input_files(own)
        page.locator("#player-said", has_text="too large").wait_for()


def test_both_languages_and_the_choice_is_kept(browser: Any, url: str) -> None:
    with Cockpit(browser, url, 1280, locale="en-US") as cockpit:
        page = cockpit.page
        assert page.locator("#begin").inner_text() == "Start driving"
        cockpit.reach("#language")
        cockpit.press("Enter")
        assert (page.locator("#begin").inner_text(), page.title()) == ("开始驾驶", "驾驶舱 · drivecoach")
        page.reload()
        page.wait_for_selector("#begin:not([disabled])")
        assert page.locator("#tab-replay").inner_text() == "回放"
        page.goto(url + "/cockpit?lang=en")
        page.wait_for_selector("#begin:not([disabled])")
        assert page.locator("#tab-replay").inner_text() == "Replay"
        texts = page.evaluate("async () => (await import('/cockpit/static/texts.js')).TEXTS")
        assert texts["zh"].keys() == texts["en"].keys()


def test_every_reason_and_every_word_of_the_domain_has_its_other_language(browser: Any, url: str) -> None:
    from drivecoach.domains.driving.words import ACTIONS, GEARS, ITEMS, LEVELS
    from drivecoach.live import End, Reason, Trouble

    with Cockpit(browser, url, 1280) as cockpit:
        known = cockpit.page.evaluate(
            """async () => {
              const { ENGLISH, REASONS } = await import("/cockpit/static/texts.js");
              return [Object.keys(ENGLISH), Object.keys(REASONS)];
            }"""
        )
        values = [value for feature in DRIVING.features.values() for value in feature.values]
        words = {*ACTIONS, *LEVELS, *values, *DRIVING.features, *(g for all in GEARS.values() for g in all)}
        assert words | {item for items in ITEMS.values() for item in items} <= {*known[0]}
        assert {str(one) for kind in (Reason, Trouble, End) for one in kind} <= {*known[1]}


SPEAKS = """
globalThis.spoken = [];
const voices = [{ lang: "en-US", localService: true }, { lang: "zh-CN", localService: VOICE }];
const synthesis = { getVoices: () => voices, speak: (one) => spoken.push(one.text), cancel() {} };
Object.defineProperty(globalThis, "speechSynthesis", { value: synthesis });
globalThis.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
"""
"""A browser with a Chinese voice, on this machine or elsewhere."""


def test_the_voice_says_what_the_log_says_is_said_and_is_switched_off(browser: Any, url: str) -> None:
    with Cockpit(browser, url, 1280, speaks=SPEAKS.replace("VOICE", "true")) as cockpit:
        page = cockpit.page
        assert page.evaluate("spoken") == [], "nothing before the first click"
        cockpit.reach("#begin")
        cockpit.press("Enter")
        said = cockpit.logged(kind="say").query_selector(".event-speech").inner_text()
        cockpit.until(lambda: said in page.evaluate("spoken"))
        cockpit.press("v")
        page.wait_for_selector("#speech[aria-pressed='false']")
        count = len(page.evaluate("spoken"))
        cockpit.press("o")
        page.wait_for_selector("#log li[data-kind='say'] ~ li[data-kind='say']", state="attached")
        assert len(page.evaluate("spoken")) == count


def test_a_voice_that_is_made_elsewhere_is_not_used(browser: Any, url: str) -> None:
    with Cockpit(browser, url, 1280, locale="en-US", speaks=SPEAKS.replace("VOICE", "false")) as cockpit:
        assert cockpit.page.locator("#speech").is_disabled()
        assert cockpit.page.locator("#speech").inner_text() == "No Chinese voice"


def test_a_page_that_leaves_ends_its_drive(browser: Any, url: str) -> None:
    with Cockpit(browser, url, 1280) as cockpit:
        cockpit.reach("#begin")
        with cockpit.page.expect_response(re.compile("/cockpit/drives$")) as begun:
            cockpit.press("Enter")
        drive = begun.value.json()["drive"]
        cockpit.logged(kind="silent")
        cockpit.page.goto("about:blank")

        def is_over() -> bool:
            with httpx.stream("GET", f"{url}/cockpit/drives/{drive}/events") as answer:
                return answer.status_code == 404

        cockpit.until(is_over)
