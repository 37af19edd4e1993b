"""The pages in two languages hold the same commands, headings and tables, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CHINESE = [page for page in PAGES if page.name.endswith(".zh.md")]
BLOCK = re.compile(r"^```.*\n(?:.*\n)*?```$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TREE = "drivecoach/ "
"""What the block begins with that lists the folders: it says in the page's language what lies in each."""


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh.md", ".md"))


def lines(page: Path) -> list[str]:
    """What is typed or printed in the page's code blocks, without comments, which are in the page's language."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    typed = [block.splitlines()[1:-1] for block in blocks if not block.split("\n", 1)[1].startswith(TREE)]
    return [re.sub(r"(^|\s+)# .*", "", line) for block in typed for line in block]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[str]:
    return re.findall(r"^(#+) ", prose(page), re.MULTILINE)


def rows(page: Path) -> list[list[str]]:
    """The cells of every table row that are a number, which is the same in both languages."""
    found = [line.split("|") for line in prose(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row if re.fullmatch(r"\s*[\d.,]+%?\s*", cell)] for row in found]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the page's headings in a link."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def name(page: Path) -> str:
    return page.name


def test_there_are_pages_to_look_at() -> None:
    assert {page.name for page in CHINESE} >= {"README.zh.md", "serving.zh.md", "training.zh.md"}
    assert all(lines(page) and headings(page) and links(page) for page in CHINESE)


@pytest.mark.parametrize("page", CHINESE, ids=name)
def test_both_languages_say_the_same(page: Path) -> None:
    assert english(page).is_file()
    assert lines(page) == lines(english(page))
    assert headings(page) == headings(english(page))
    assert rows(page) == rows(english(page))


@pytest.mark.parametrize("page", CHINESE, ids=name)
def test_each_language_leads_to_the_other_and_stays_in_itself(page: Path) -> None:
    assert links(page)[0] == english(page).name
    assert links(english(page))[0] == page.name
    for link in links(page)[1:]:
        target = page.parent / link.partition("#")[0]
        assert not target.with_suffix(".zh.md").is_file() or target.name.endswith(".zh.md"), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
