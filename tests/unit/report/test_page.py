"""Pages: whatever stands in a state or an answer is text there; what is written over is only a page of ours."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivecoach.data.coverage import (
    Balance,
    Boundary,
    Coverage,
    FieldCoverage,
    Neighbours,
    RuleCoverage,
    Together,
    Wanted,
)
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.text import TEXT
from drivecoach.errors import StorageError
from drivecoach.report import page
from drivecoach.report.answers import case, fields, shown
from drivecoach.report.data import render
from drivecoach.report.words import milliseconds, percent, size
from tests.support.command import Run, refused, run  # noqa: F401
from tests.support.measured_runs import states, write_certificate
from tests.support.runs import make_run
from tests.support.thermostat import THERMOSTAT

HOSTILE = [
    "</script><script>x()</script>",
    "<img src=x onerror=x()>",
    "<!--",
    "]]>",
    "{{ 7 * 7 }}",
    "a&lt;b",
    "\u2028",
    "\"'`",
]
anything = st.one_of(st.text(max_size=30), st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map("".join))


class Read(HTMLParser):
    """What a page holds: its tags, its text, the JSON in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.text: list[str] = []
        self.data = ""
        self._in = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = "data" if ("id", "data") in attrs else tag
        self.tags.append((tag, sorted(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "data":
            self.data += data
        elif self._in not in ("script", "style"):
            self.text.append(data)


def coverage_with(text: str) -> Coverage:
    """A coverage with one text wherever a file could bring it in."""
    return Coverage(
        file=text,
        domain="text",
        pairs=1,
        refused={"conflict": 1},
        conflicts=[text],
        warnings=0,
        fields=[FieldCoverage(name="f", counts={f"v{text}": 1}, closed=False)],
        together=[Together(first="f", second="g", seen=1, possible=2, missing=[(text, text)])],
        rules=[RuleCoverage(rule="R1", pairs=1, inputs=2, reason=text)],
        balance=[Balance(name="answer", counts={text: 1}, effective=1.0)],
        neighbours=[Neighbours(field="f", same=1, other=1)],
        boundaries=[Boundary(field="f", rows=(1, 2), values=(text, text), answers=(text, text), input=text)],
        repeats=0,
        wanted=[Wanted(kind="boundary", what=text, pairs=0)],
    )


@settings(max_examples=30)
@given(anything)
def test_any_text_of_a_file_of_pairs_is_text_on_its_page(text: str) -> None:
    read, plain = Read(render(coverage_with(text))), Read(render(coverage_with("x")))
    assert read.tags == plain.tags, "text became a tag or an attribute"
    assert "".join(read.text).count(text) >= 6 if text else True


@settings(max_examples=30)
@given(anything, anything)
def test_any_text_of_a_state_or_an_answer_reaches_the_script_whole(input: str, said: str) -> None:
    """The script sets texts as text; here: that nothing ends the block they lie in, and all of it arrives."""
    cases = [case(TEXT, input, said, said), case(TEXT, input, said, None, said)]
    data = {"charts": {}, "runs": [{"fields": fields(TEXT), "cells": {}, "examples": cases, "file": ""}], "flips": []}
    empty: dict[str, object] = {"runs": [], "facts": [], "sections": [], "comparisons": [], "splits": [], "parts": []}
    html = page.render("report.html.jinja", said, data, columns=[], weakest=[], behaviours=[], **empty)
    read = Read(html)
    assert json.loads(read.data)["runs"][0]["examples"][1]["raw"] == said
    assert [tag for tag, _ in read.tags].count("script") == 2
    assert "createElement" in html and "innerHTML" not in html


def test_a_page_may_connect_to_nothing_and_half_characters_are_no_failure() -> None:
    html = render(coverage_with("\ud83d"))
    assert "default-src 'none'" in html and html.encode("utf-8")
    assert "http://" not in html.replace("http://www.w3.org", "") and "https://" not in html


def test_only_a_page_of_ours_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "index.html"
    for name in ("first", "second"):
        page.write(target, render(coverage_with(name)))
        assert name in target.read_text("utf-8")
    target.write_text("<html>my own</html>", encoding="utf-8")
    with pytest.raises(StorageError, match="no page of drivecoach"):
        page.write(target, render(coverage_with("third")))
    assert target.read_text("utf-8") == "<html>my own</html>"


def test_an_answer_is_sorted_for_a_person() -> None:
    said = {"动作": ["踩下刹车", "靠边停稳"], "级别": "危险", "话术": "停车！"}
    assert shown(DRIVING, said) == {
        "level": "危险",
        "rank": "grave",
        "sentence": "停车！",
        "lists": [("动作", ["踩下刹车", "靠边停稳"])],
        "rest": [],
    }
    heat = shown(THERMOSTAT, {"action": "heat", "level": 4.0, "steps": ["open valve"]})
    assert (heat["level"], heat["rank"], heat["lists"]) == ("heat", "mild", [("steps", ["open valve"])])
    assert heat["rest"] or heat["sentence"]
    assert shown(DRIVING, {"of": "another version"})["sentence"]
    assert shown(TEXT, "减速慢行。")["sentence"] == "减速慢行。"


def test_a_state_tells_what_the_rule_reads() -> None:
    state = next(iter(DRIVING.inputs()))
    made = case(DRIVING, DRIVING.write_input(state), DRIVING.answer.dump(DRIVING.teach(state)), None, "gibberish")
    names = fields(DRIVING)
    assert dict(zip(names, made["state"], strict=True)) == DRIVING.input.dump(state)
    assert {names[place] for place in made["decides"]} == set(DRIVING.explain(state).read)
    assert made["wrong"] and made["raw"] == "gibberish" and made["rule"] == DRIVING.explain(state).rule
    assert case(DRIVING, "no state", None, None)["state"] == ["no state"]


@pytest.mark.parametrize(
    ("right", "rows", "text"),
    [(0, 0, "–"), (0, 9, "0%"), (9, 9, "100%"), (292_351, 292_352, "99.9997%"), (1, 10**6, "0.0001%")],
)
def test_a_share_is_never_rounded_to_all_or_none(right: int, rows: int, text: str) -> None:
    assert percent(right, rows) == text


def test_numbers_for_people() -> None:
    assert [size(12), size(1_620_000), size(3_456_000_000)] == ["12 B", "1.62 MB", "3.46 GB"]
    assert [milliseconds(6e-6), milliseconds(9.876), milliseconds(2500)] == ["< 0.01 ms", "9.88 ms", "2.5 s"]


def test_what_is_no_run_is_said(run: Run, tmp_path: Path) -> None:  # noqa: F811
    refused(run("report", tmp_path / "none"), "no run folder")
    refused(run("compare", tmp_path / "none", tmp_path / "other"), "no run folder")
    assert not (tmp_path / "report").exists()


def test_a_run_of_which_little_is_known_says_which_command_makes_the_rest(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "m.gguf").write_bytes(b"no model")
    bare = make_run(tmp_path / "bare", tmp_path / "m.gguf", [])
    recipe = json.loads((bare.folder / "recipe.json").read_text("utf-8"))
    (tmp_path / "begun").mkdir()
    recipe |= {"name": "begun", "domain": "text"}
    (tmp_path / "begun/recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    done = run("report", bare.folder, tmp_path / "begun", "-o", tmp_path / "page")
    assert done.code == 0, done
    text = "".join(Read((tmp_path / "page/index.html").read_text("utf-8")).text)
    for command in ("verify", "evaluate", "export", "train"):
        assert f"drivecoach {command} " in text
    assert f"drivecoach verify {bare.folder}" in text
    assert f"drivecoach verify {tmp_path / 'begun'}" not in text, "texts cannot all be counted"


def test_a_certificate_that_was_edited_or_is_of_another_model_is_not_shown(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "m.gguf").write_bytes(b"no model")
    made = make_run(tmp_path / "mine", tmp_path / "m.gguf", [])
    asked = states(4)
    write_certificate(made.folder, made.quantized, asked, set())
    assert run("report", made.folder, "-o", tmp_path / "page").code == 0
    assert "every input verified, all right" in (tmp_path / "page/index.html").read_text("utf-8")
    file = made.folder / "verify/certificate.json"
    file.write_text(file.read_text("utf-8").replace('"below": 0', '"below": 1'), encoding="utf-8")
    assert run("report", made.folder, "-o", tmp_path / "page").code == 0
    html = (tmp_path / "page/index.html").read_text("utf-8")
    assert "every input verified, all right" not in html and "was edited" in html
