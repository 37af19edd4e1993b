"""The model card is true of the very file beside it, whatever was measured before or after, and the hub can read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFWriter
from huggingface_hub import ModelCard

from drivecoach.domains.driving import DRIVING
from drivecoach.domains.text import TEXT
from drivecoach.export import card
from drivecoach.export.about import LICENSE
from drivecoach.files import sha256
from drivecoach.pipeline import Run
from tests.support.measured_runs import states, write_certificate, write_figures
from tests.support.runs import evaluate_run, make_run

STATES = states(6)
LINES = [DRIVING.write_input(state) for state in STATES]


def described(target: Path, version: str = "1") -> Path:
    """A GGUF that only says what it is: a card reads no more of it."""
    writer = GGUFWriter(target, "qwen3")
    writer.add_string("general.version", version)
    writer.add_string("general.license", "apache-2.0")
    writer.add_uint32("general.base_model.count", 1)
    writer.add_string("general.base_model.0.repo_url", "https://huggingface.co/Qwen/Qwen3-0.6B")
    writer.add_string(LICENSE, "apache-2.0\ndataset mine|<b>.json: unknown")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.fixture
def exported(tmp_path: Path) -> Run:
    return make_run(tmp_path / "mine", described(tmp_path / "m.gguf"), LINES)


def written(run: Run) -> str:
    card.write(run.folder, run.recipe, run.domain)
    return (run.folder / "export" / card.CARD).read_text(encoding="utf-8")


def test_an_export_alone_says_that_nothing_was_measured(exported: Run) -> None:
    text = written(exported)
    assert "was not evaluated" in text and "Not every input was verified" in text
    assert "no traffic light" in text, "what the domain must not be used for"
    assert sha256(exported.quantized) in text and "- dataset mine\\|&lt;b>.json: unknown" in text
    metadata = ModelCard(text).data.to_dict()
    assert (metadata["license"], metadata["base_model"]) == ("apache-2.0", "Qwen/Qwen3-0.6B")
    assert metadata["language"] == ["zh"]
    assert "model-index" not in metadata


def test_what_is_measured_later_is_in_the_card_that_is_written_then(exported: Run) -> None:
    evaluate_run(exported.folder, test=0.75)
    assert "| test | 100 | 75.00% |" in written(exported)
    write_figures(exported.folder, exported.quantized, {"test": STATES[:4], "hard": STATES}, {LINES[0]})
    write_certificate(exported.folder, exported.quantized, STATES, {LINES[0]})
    text = written(exported)
    assert "| test | 4 | 75.00% |" in text and "| hard | 6 | 83.33% |" in text
    assert "1 of all 6 states of driving answered wrong" in text
    (name, results), *_ = [(ModelCard(text).data.model_name, ModelCard(text).data.eval_results)]
    assert name == "goDrive"
    values = {result.dataset_name: result.metric_value for result in results or []}
    assert values == {"driving: test": 0.75, "driving: hard": 0.833333, "driving: all 6 inputs": 0.833333}


def test_what_was_measured_of_an_older_file_is_not_told(exported: Run, tmp_path: Path) -> None:
    write_figures(exported.folder, exported.quantized, {"test": STATES}, set())
    write_certificate(exported.folder, exported.quantized, STATES, set())
    assert "all 6 states of driving answered right" in written(exported)
    again = make_again(exported, described(tmp_path / "n.gguf", "2"))
    text = written(again)
    assert "was not evaluated" in text and "Not every input was verified" in text


def make_again(run: Run, gguf: Path) -> Run:
    """The run with another file exported, its measurements left where they are."""
    from drivecoach.export.result import Agreement, ExportedFile, ExportResult
    from drivecoach.stage import finish

    run.quantized.write_bytes(gguf.read_bytes())
    file = ExportedFile(bytes=gguf.stat().st_size, sha256=sha256(gguf))
    same = Agreement(inputs=1, rows="held-out test rows", with_merged_model={run.quantized.name: 1.0})
    result = ExportResult(files={run.quantized.name: file}, agreement=same)
    finish(run.quantized.parent, {}, result, [run.quantized.name])
    return run


def test_a_card_of_ones_own_stays(exported: Run) -> None:
    mine = exported.folder / "export" / card.CARD
    mine.write_text("# my own words\n", encoding="utf-8")
    assert written(exported) == "# my own words\n"


def test_of_a_text_domain_it_says_that_samples_are_all_there_is(exported: Run) -> None:
    card.write(exported.folder, exported.recipe, TEXT)
    text = (exported.folder / "export" / card.CARD).read_text("utf-8")
    assert "cannot all be counted" in text and "no general assistant" in text


def test_without_an_export_there_is_no_card(exported: Run) -> None:
    (exported.folder / "export/manifest.json").unlink()
    card.write(exported.folder, exported.recipe, exported.domain)
    assert not (exported.folder / "export" / card.CARD).exists()
