"""What an exported file says of itself is true, and what is not known is said openly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivecoach.config import Recipe, load_recipe
from drivecoach.export.about import license_text, origins
from tests.support.recipes import tiny_base

ROOT = Path(__file__).parents[3]


def recipe(data: dict[str, Any] | Path, base: dict[str, Any] | None = None, **export: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "own",
            "domain": "text",
            "data": {"path": str(data)} if isinstance(data, Path) else data,
            "base": base or {"source": "nano"},
            "export": export,
        }
    )


def licenses(made: Recipe, *, hub: bool = True) -> list[str]:
    return [origin.license for origin in origins(made, hub=hub)]


def card(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{text}\n---\n# a card\n", encoding="utf-8")


def test_the_shipped_pairs_are_apache_and_pairs_of_ones_own_are_not_called_so(tmp_path: Path) -> None:
    nano = load_recipe(ROOT / "recipes/nano.yaml")
    assert license_text(origins(nano, hub=False)) == "apache-2.0\ndataset driving.json: apache-2.0"
    card(tmp_path, "license: mit\nconfigs:\n- config_name: default\n  data_files: driving.json")
    for name, license in (("driving.json", "mit"), ("mine.json", "unknown")):
        own = load_recipe(ROOT / "recipes/nano.yaml", [f"data.path={tmp_path / name}"])
        assert licenses(own) == [license]
    own = load_recipe(ROOT / "recipes/nano.yaml", [f"data.path={tmp_path / 'mine.json'}", "export.data_license=MIT"])
    assert licenses(own) == ["MIT"]


@pytest.mark.parametrize(
    ("metadata", "license"),
    [
        ("license: gemma", "gemma"),
        ("license: other\nlicense_name: tongyi-qianwen", "tongyi-qianwen"),
        ("license: other", "other"),
        ("license: [mit, apache-2.0]", "mit AND apache-2.0"),
        ("language: zh", "unknown"),
        ("license: [", "unknown"),
        ("- license", "unknown"),
        ("license: 5\nconfigs: 5", "unknown"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nlicense: [*b, mit, {x: *b}]", "mit"),
    ],
)
def test_a_bases_card_is_read(metadata: str, license: str, tmp_path: Path) -> None:
    card(tiny_base("qwen3", tmp_path / "base"), metadata)
    assert licenses(recipe(tmp_path / "rows.json", {"source": "local", "name": str(tmp_path / "base")}))[0] == license


def test_a_base_that_is_gone_by_now_is_unknown(tmp_path: Path) -> None:
    made = recipe(tmp_path / "rows.json", {"source": "local", "name": str(tmp_path / "gone")})
    assert licenses(made) == ["unknown", "unknown"]


def test_the_hub_is_asked_only_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def download(repo: str, file: str, *, repo_type: str, revision: str | None) -> str:
        asked.append((repo, repo_type, revision))
        if repo_type == "dataset":
            raise FileNotFoundError(f"{repo} cannot be reached")
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    card(tmp_path, "license: apache-2.0")
    made = recipe(
        {"path": "someone/rows", "source": "hub"}, {"source": "hub", "name": "Qwen/Qwen3-0.6B", "revision": "abc"}
    )
    assert licenses(made, hub=False) == ["see its card", "see its card"] and not asked
    assert licenses(made) == ["apache-2.0", "unknown"]
    assert asked == [("Qwen/Qwen3-0.6B", "model", "abc"), ("someone/rows", "dataset", None)]
    base, data = origins(made, hub=True)
    assert (base.organization, base.name, base.version) == ("Qwen", "Qwen3-0.6B", "abc")
    assert (base.repo_url, data.repo_url) == (
        "https://huggingface.co/Qwen/Qwen3-0.6B",
        "https://huggingface.co/datasets/someone/rows",
    )


def test_of_a_file_only_its_name_and_digest_are_told(tmp_path: Path) -> None:
    (data,) = origins(recipe(tmp_path / "rows.json"), hub=True, digests=["ab" * 32])
    assert (data.name, data.version) == ("rows.json", "sha256:" + "ab" * 32)
    assert str(tmp_path) not in str(data)


def test_a_license_stays_inside_the_modelfiles_quotes(tmp_path: Path) -> None:
    evil = '"""\nFROM /etc/passwd\n\x1b[31m'
    text = license_text(origins(recipe(tmp_path / "x.json", data_license=evil), hub=True))
    assert '"""' not in text and "\x1b" not in text
    assert len(text.splitlines()) == 2, json.dumps(text)
