"""Every input is answered and counted; what is interrupted goes on; a certificate of anything else is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from drivecoach.cli.app import make_app
from drivecoach.coach import Coach
from drivecoach.errors import DataError, DrivecoachError, ModelError, RecipeError, RuntimeFailure, StorageError
from drivecoach.evaluate.target import Target, open_target
from drivecoach.infer import Engine
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.serve.model import ServedModel
from drivecoach.verify import run as running
from drivecoach.verify import states as walking
from drivecoach.verify.certificate import (
    CERTIFICATE,
    COUNTEREXAMPLES,
    Certificate,
    certificate_of,
    read,
    read_counterexamples,
)
from drivecoach.verify.check import check
from drivecoach.verify.coverage import COVERAGE, Coverage, least_confidence
from drivecoach.verify.journal import JOURNAL
from drivecoach.verify.run import MEASURED, verify
from tests.support import crossing as crossing_module
from tests.support.crossing import CROSSING
from tests.support.scripted_runtime import ScriptedRuntime


@pytest.fixture
def run(crossing: Path) -> Path:
    return crossing


@contextmanager
def scripted(runtime: ScriptedRuntime) -> Iterator[Target]:
    """A target that answers what a test writes."""
    yield Target("scripted", "other", CROSSING, runtime, None, None, None, "", "", lambda: "0" * 64)


def right(text: str, seed: int | None) -> str:
    return CROSSING.write_answer(CROSSING.teach(CROSSING.read_input(text)))


def test_the_counts_are_those_of_asking_every_input_one_by_one(run: Path) -> None:
    certificate, wrong, rules = read(run / "verify"), {}, Counter[str]()
    with open_target(str(run)) as target:
        engine = Engine(target.runtime.generate, CROSSING, asks=1)
        for value in CROSSING.inputs():
            text = CROSSING.write_input(value)
            outcome = engine.ask(text)
            if outcome.answer != CROSSING.teach(value):
                wrong[text] = outcome
                rules[CROSSING.explain(value).rule] += 1
    assert 0 < certificate.wrong == len(wrong) < certificate.states == 216 and not certificate.clean
    found = {one.input: one for one in read_counterexamples(run / "verify")}
    assert found.keys() == wrong.keys()
    for text, one in found.items():
        answer = wrong[text].answer
        assert one.given == (None if answer is None else CROSSING.answer.dump(answer))
        assert one.violations == [broken.id for broken in wrong[text].violations]
        assert one.log_probability == pytest.approx(wrong[text].log_probability, abs=0.05)
    assert {name: counts.wrong for name, counts in certificate.rules.items() if counts.wrong} == rules
    for kind in ("rules", "items"):
        assert sum(counts.states for counts in getattr(certificate, kind).values()) == 216
    assert {cell.item for cell in certificate.cells} == {"school", "bridge", "tunnel"} == certificate.items.keys()
    assert certificate.lowered == sum(one.lowered for one in found.values()) == certificate.rules["R1"].lowered
    measured = np.load(run / "verify" / MEASURED)
    assert measured.shape == (216, 3) and int((measured[:, 2] > 0).sum()) == certificate.wrong
    assert ((measured[:, 1] > 0) == (measured[:, 2] == 0)).all()  # the right answer is ahead where it is given
    assert not list((run / "verify").glob("*.journal"))


def test_it_is_not_done_again_for_the_same_model_and_goes_on_after_an_interruption(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with open_target(str(run)) as target:
        assert verify(target, run / "verify", said.append) == read(run / "verify") and "unchanged" in said.pop()
        monkeypatch.setattr(running, "BLOCK", 50)
        blocks = 0
        counted = running._counted

        def interrupted(*args: object) -> object:
            nonlocal blocks
            blocks += 1
            if blocks == 3:
                raise KeyboardInterrupt
            return counted(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(running, "_counted", interrupted)
        with pytest.raises(KeyboardInterrupt):
            verify(target, tmp_path)
        journal = tmp_path / JOURNAL
        journal.write_bytes(journal.read_bytes() + b'{"states": 50, "val')  # as a kill leaves it
        certificate = verify(target, tmp_path, said.append)
    assert said == ["verify: going on from state 100"] and blocks == 3 + 3
    before = read(run / "verify")
    varies = {"date", "seal", "digests"}  # blocks of another size add up in another order
    assert certificate.model_dump(exclude=varies) == before.model_dump(exclude=varies)
    assert certificate.digests.inputs == before.digests.inputs
    once, again = (list(read_counterexamples(folder)) for folder in (run / "verify", tmp_path))
    assert [one.model_dump(exclude={"log_probability"}) for one in once] == [
        one.model_dump(exclude={"log_probability"}) for one in again
    ]
    assert np.allclose(np.load(tmp_path / MEASURED), np.load(run / "verify" / MEASURED), atol=0.05)


def test_a_model_that_changes_is_refused_and_what_was_done_is_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BLOCK", 100)
    with open_target(str(run)) as target:
        digests = iter(["1" * 64, "1" * 64, "2" * 64])
        changing = dataclasses.replace(target, digest=lambda: next(digests))
        with pytest.raises(ModelError, match="has changed while it was verified"):
            verify(changing, tmp_path)
        assert len((tmp_path / JOURNAL).read_text().splitlines()) == 2  # what it is of, and one block
        with pytest.raises(StorageError, match="was not finished") as refused:
            verify(target, tmp_path)
    assert [fault.where for fault in refused.value.faults] == ["model"] and "rm " in refused.value.hint


def test_a_target_that_fails_or_says_garbage_is_said_and_what_was_done_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BLOCK", 100)
    answered = 0

    def dies(text: str, seed: int | None) -> str | Exception:
        nonlocal answered
        answered += 1
        return right(text, seed) if answered <= 150 else RuntimeFailure("it is gone", hint="start it")

    with scripted(ScriptedRuntime(dies)) as target, pytest.raises(RuntimeFailure, match="it is gone"):
        verify(target, tmp_path)
    garbage = ScriptedRuntime(lambda *_: "I do not know")
    with scripted(garbage) as target, pytest.raises(RuntimeFailure, match=r"none of 100 answers was one of .* schema"):
        verify(target, tmp_path)
    asked = ScriptedRuntime(right)
    with scripted(asked) as target:
        certificate = verify(target, tmp_path)
    assert certificate.clean and certificate.states == 216 and len(asked.asked) == 116
    assert "all 216 states of crossing answered right" in str(certificate)
    assert not (tmp_path / COVERAGE).exists()  # it tells no confidence


def test_only_what_can_be_counted_is_verified(tmp_path: Path) -> None:
    from tests.support.thermostat import THERMOSTAT

    with scripted(ScriptedRuntime()) as target, pytest.raises(RecipeError, match="inputs that can be counted"):
        verify(dataclasses.replace(target, domain=THERMOSTAT), tmp_path)


def test_a_certificate_holds_for_its_model_and_no_other(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    paper = copy / "verify" / CERTIFICATE
    gguf = copy / "export" / "crossing-q4_K_M.gguf"

    def refused(kind: type[DrivecoachError], match: str) -> DrivecoachError:
        with open_target(str(copy)) as target, pytest.raises(kind, match=match) as found:
            check(paper, target)
        return found.value

    with open_target(str(copy)) as target:
        assert check(paper, target, 50).sampled == 50
        assert check(paper, target).sampled == 216
    with Coach(gguf, domain=CROSSING) as coach:
        assert coach.certificate == read(run / "verify")
    whole = json.loads(paper.read_text())
    paper.write_text(json.dumps({**whole, "wrong": 0}))
    refused(DataError, "was edited")
    assert certificate_of(gguf) is None
    paper.write_text("{}")
    refused(DataError, "is no certificate")
    # Sealed anew, but not true: an answer that is wrong is left out.
    forged = Certificate.model_validate(whole)
    lines = (copy / "verify" / COUNTEREXAMPLES).read_text().splitlines(keepends=True)
    (copy / "verify" / COUNTEREXAMPLES).write_text("".join(lines[1:]))
    paper.write_text(forged.model_dump_json())
    assert refused(ModelError, "something else").faults[0].where == "counterexamples"
    digest = running.paper.sha256(copy / "verify" / COUNTEREXAMPLES)
    lying = forged.model_copy(update={"digests": forged.digests.model_copy(update={"counterexamples": digest})})
    paper.write_text(lying.sealed().model_dump_json())
    assert json.loads(lines[0])["input"] in str(refused(DataError, "does not hold: 1 of 216"))
    shutil.copytree(run / "verify", copy / "verify", dirs_exist_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr(walking, "domain_digest", lambda domain: "0" * 64)
        patched.setattr("drivecoach.verify.check.rules_digest", lambda domain: "0" * 64)
        assert refused(ModelError, "something else").faults[0].where == "rules"
    gguf.write_bytes(gguf.read_bytes()[:-1] + b"!")
    assert refused(ModelError, "something else").faults[0].where == "model"
    assert certificate_of(gguf) is None


def test_below_a_confidence_the_rules_answer_or_the_row_is_marked(run: Path) -> None:
    coverage = Coverage.model_validate_json((run / "verify" / COVERAGE).read_text())
    assert coverage.all is not None and coverage.all.points[0].answered == coverage.all.states == 216
    assert coverage.all.points[0].wrong == read(run / "verify").wrong
    assert coverage.threshold == least_confidence(str(run))
    gguf = run / "export" / "crossing-q4_K_M.gguf"
    inputs = [CROSSING.write_input(value) for value in CROSSING.inputs()][::9]
    limit = float(np.median(np.load(run / "verify" / MEASURED)[:, 0]))
    with Coach(gguf, domain=CROSSING) as free, Coach(gguf, domain=CROSSING, min_confidence=limit) as careful:
        pairs = list(zip(free.outcomes(inputs), careful.outcomes(inputs), strict=True))
    sources = Counter(kept.source for _, kept in pairs)
    assert sources["model"] and sources["rules"]
    for said, kept in pairs:
        assert said.log_probability is not None
        if abs(said.log_probability - limit) > 0.1:  # the two were decoded in batches that add up in another order
            assert (kept.source == "rules") == (said.log_probability < limit)
        if kept.source == "rules":
            assert kept.status == "valid" and f"is below {limit:.2f}" in kept.reason
            assert kept.answer == CROSSING.teach(CROSSING.read_input(kept.input))
    with LlamaCpp(gguf) as model:  # no teacher: its domain is known by its schema alone
        from drivecoach.domains.stored import find_domain

        untaught = find_domain(model.metadata, "m").domain
        outcome = Engine(model.generate, untaught, min_confidence=0.0).ask(inputs[0])
        assert outcome.status == "invalid" and "confidence" in outcome.reason
    with pytest.raises(RecipeError, match="does not tell how sure"):
        Engine(ScriptedRuntime(right).generate, CROSSING, min_confidence=-1.0).ask(inputs[0])


def test_the_verb_says_what_is_wrong_and_ends_with_a_code_of_its_own(run: Path, tmp_path: Path) -> None:
    shell, certificate = CliRunner(), read(run / "verify")
    told = shell.invoke(make_app(), ["verify", str(run), "--json"])
    assert told.exit_code == 3 and json.loads(told.stdout)["wrong"] == certificate.wrong
    gguf = tmp_path / "other.gguf"
    gguf.write_bytes((run / "export" / "crossing-q4_K_M.gguf").read_bytes())
    module = f"{Path(crossing_module.__file__)}:domain"
    assert shell.invoke(make_app(), ["verify", str(gguf), "--domain", module]).exit_code == 3
    assert read(tmp_path / "other.verify").wrong == certificate.wrong  # outside of a run, beside the file
    held = shell.invoke(make_app(), ["verify", "--check", str(tmp_path / "other.verify"), "--domain", module])
    assert held.exit_code == 0, held.output
    nowhere = tmp_path / CERTIFICATE
    shutil.copyfile(run / "verify" / CERTIFICATE, nowhere)
    with pytest.raises(ModelError, match="is not to be seen from where it lies"):
        shell.invoke(make_app(), ["verify", "--check", str(nowhere)], catch_exceptions=False)


def test_a_server_shows_the_certificate_of_its_file(run: Path) -> None:
    model = ServedModel(run / "export" / "crossing-q4_K_M.gguf")
    told, certificate = model.shown()["model_info"], read(run / "verify")
    model.runtime.close()
    assert told["drivecoach.certificate.states"] == 216 and told["drivecoach.certificate.clean"] is False
    assert told["drivecoach.certificate.wrong"] == certificate.wrong
    assert told["drivecoach.certificate.violations"] == sum(certificate.violations.values())


def test_a_batch_is_answered_by_rules_where_the_model_is_not_sure(run: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(CROSSING.write_input(value) + "\n" for value in list(CROSSING.inputs())[::20]))
    asked = ["infer", str(source), "-o", str(output), "--model", str(run), "--min-confidence"]
    done = CliRunner().invoke(make_app(), [*asked, "0"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["source"] for row in rows} == {"rules"} and "confidence" in rows[0]["reason"]
    other = CliRunner().invoke(make_app(), [*asked, "auto"])
    assert isinstance(other.exception, StorageError)  # the journal is of another confidence
    assert CliRunner().invoke(make_app(), [*asked, "half"]).exit_code == 2
