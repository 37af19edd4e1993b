"""What a run folder holds, gathered for a page; what is not there is named with the command that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from drivecoach import stage
from drivecoach.data.check import Pair
from drivecoach.data.prepare import read_pairs
from drivecoach.data.result import DataResult
from drivecoach.domain import AnyDomain
from drivecoach.domain.node import text_of
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import DataError, DrivecoachError
from drivecoach.evaluate import result
from drivecoach.evaluate.result import SplitFigures, Wrong
from drivecoach.export.result import ExportResult
from drivecoach.infer import Engine
from drivecoach.pipeline import Run
from drivecoach.progress import progress
from drivecoach.report.answers import Case, case
from drivecoach.report.grid import Cell, Grid, cases_a_cell, grid
from drivecoach.report.measured import Measured, measured, widest
from drivecoach.report.words import Words, percent, size
from drivecoach.runtime import open_runtime
from drivecoach.text import shown
from drivecoach.train.metrics import METRICS, read_metrics
from drivecoach.train.result import TrainResult
from drivecoach.verify import certificate as paper
from drivecoach.verify.certificate import Certificate

EXAMPLES = 10


@dataclass(frozen=True)
class Missing:
    """A part of the page that this run has nothing for."""

    what: Words
    command: str


@dataclass
class Gathered(Measured):
    """All that one run has to show."""

    facts: list[tuple[Words, str]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    grid: Grid | None = None
    examples: list[Case] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @property
    def domain(self) -> AnyDomain:
        """The run's."""
        return self.run.domain


def gather(folder: Path) -> Gathered:
    """All that is known of the run in ``folder``, and how its model answers some held-out inputs.

    Raises ModelError where there is no run.
    """
    found = known(folder)
    _add_examples(found)
    return found


def known(folder: Path) -> Gathered:
    """All that is known of the run in ``folder`` without asking its model. Raises ModelError where there is no run."""
    found = Gathered(**vars(measured(folder)))
    found.facts = list(_facts(found.run))
    found.metrics = read_metrics(folder / "train" / METRICS)
    if found.certificate is not None:
        _add_map(found, found.certificate)
    elif found.figures is not None and (split := widest(found.figures)) is not None:
        _add_map_of_samples(found, split)
    found.missing += _missing(found)
    return found


def _facts(run: Run) -> Iterator[tuple[Words, str]]:
    """What was trained on what, a row each."""
    recipe, folder = run.recipe, run.folder
    base = recipe.base
    data = stage.read_manifest(folder / "data", DataResult)
    trained = stage.read_manifest(folder / "train", TrainResult)
    exported = stage.read_manifest(folder / "export", ExportResult)
    yield Words("recipe", "配方"), recipe.name
    yield Words("domain", "领域"), run.domain.name
    yield Words("base", "基座"), f"{base.name or base.source}{f' @ {base.revision}' if base.revision else ''}"
    if recipe.parent:
        yield Words("goes on from", "接续自"), Path(recipe.parent.run).name
    yield Words("data", "数据"), ", ".join(shown(Path(source.path).name, 80) for source in recipe.data.sources)
    if data:
        counts = data.results
        yield Words("pairs: train", "训练样本"), f"{counts.train:,}"
        yield Words("pairs: validation", "验证样本"), f"{counts.validation:,}"
        yield Words("pairs: test", "测试样本"), f"{counts.test:,}"
        if digest := counts.digests.get("train"):
            yield Words("digest of the training pairs", "训练样本摘要"), digest[:16]
    settings = recipe.train
    if trained:
        what = trained.results
        lora = settings.lora
        yield Words("parameters", "参数量"), f"{what.parameters:,}"
        yield (
            Words("trained", "参与训练"),
            f"{what.trained_parameters:,}" + ("" if lora is None else f" (LoRA, r {lora.r})"),
        )
        yield Words("steps", "步数"), f"{what.steps:,}"
        yield Words("loss at the end", "最终损失"), f"{what.loss:.4g}"
    yield Words("optimizer", "优化器"), f"{settings.optimizer}, {settings.learning_rate:g}"
    if trained:
        yield Words("trained on", "训练日期"), trained.date[:10]
    if exported:
        files = exported.results.files
        yield Words("files", "文件"), ", ".join(f"{name} ({size(file.bytes)})" for name, file in files.items())
    if trained:
        yield Words("versions", "版本"), ", ".join(f"{tool} {version}" for tool, version in trained.versions.items())


def _add_map(found: Gathered, certificate: Certificate) -> None:
    """The map of all inputs."""
    cells = {
        (one.rule, one.item): Cell(one.rule, one.item, one.states, one.wrong, one.lowered) for one in certificate.cells
    }
    most = cases_a_cell(list(cells.values()))
    with suppress(OSError, ValueError):  # the counts stand without their examples
        for one in paper.read_counterexamples(found.verified):
            cell = cells.get((one.rule, one.item))
            if cell is None or len(cell.cases) >= most:
                continue
            cell.cases.append(
                case(
                    found.domain,
                    one.input,
                    one.expected,
                    one.given,
                    one.said,
                    lowered=one.lowered,
                    violations=one.violations,
                )
            )
    found.grid = grid(list(cells.values()), _reasons(cells), _items(found.domain))


def _add_map_of_samples(found: Gathered, split: SplitFigures) -> None:
    """Without a certificate, a map of the states that were drawn, which are many fewer."""
    if not split.cells:
        return
    cells = {
        (one.rule, one.value): Cell(one.rule, one.value, one.exact.rows, one.exact.rows - one.exact.count, 0)
        for one in split.cells
    }
    most = cases_a_cell(list(cells.values()))
    with suppress(OSError, ValueError):
        for line in (found.evaluated / result.WRONG).read_text(encoding="utf-8").splitlines():
            one = Wrong.model_validate_json(line)
            cell = cells.get((one.rule, one.map))
            if cell is None or (one.split, one.constrained) != (split.split, False) or WHOLE not in one.wrong:
                continue
            made = case(found.domain, one.input, one.expected, one.given, one.said)
            if _is_lowered(found.domain, made):
                made["lowered"] = True
                cell.lowered += 1
            if len(cell.cases) < most:
                cell.cases.append(made)
    found.grid = grid(list(cells.values()), _reasons(cells), _items(found.domain))


def _is_lowered(domain: AnyDomain, one: Case) -> bool:
    said, right = one.get("said"), one.get("right")
    return bool(domain.levels and said and right and right["level"] == domain.levels[-1] != said["level"])


def _items(domain: AnyDomain) -> list[str]:
    """The items in the order of the domain's own list."""
    nodes = [node for node in domain.input.node.fields.values() if node.kind == "closed"]
    named = domain.input.node.fields.get(domain.map_by) or (nodes[0] if nodes else None)
    return [text_of(value) for value in named.values] if named else []


def _reasons(cells: dict[tuple[str, str], Cell]) -> dict[str, str]:
    """The reasons of the rules that went wrong, as their cases tell them."""
    return {
        rule: one["reason"] for (rule, _), cell in cells.items() for one in cell.cases[:1] if one.get("rule") == rule
    }


def _add_examples(found: Gathered) -> None:
    """Ask the served file some held-out inputs, as many of each level as there are."""
    run = found.run
    if not run.quantized.is_file():
        return
    try:
        pairs = various(found.domain, held_out(run))
        with open_runtime(str(run.quantized)) as runtime, progress("report: examples", len(pairs)) as task:
            engine = Engine(runtime.generate, found.domain, guard="flag", asks=1)
            for pair, right in pairs:
                outcome = engine.ask(pair.input)
                said = None if outcome.answer is None else found.domain.answer.dump(outcome.answer)
                found.examples.append(
                    case(
                        found.domain,
                        outcome.input,
                        right,
                        said,
                        why=outcome.reason or "",
                        violations=[violation.id for violation in outcome.violations],
                    )
                )
                task.advance()
    except DrivecoachError as error:
        why = Words(f"answers ({error.message})", f"回答（{error.message}）")
        found.missing.append(Missing(why, f"drivecoach export {found.folder}"))


def held_out(run: Run) -> list[Pair]:
    """The first rows that the run was not trained on; training rows where it held none out."""
    for name in ("test", "validation", "train"):
        with suppress(DataError):
            if pairs := list(islice(read_pairs(run.folder / "data" / f"{name}.jsonl"), 2000)):
                return [pair for pair in pairs if not pair.history]
    return []


def various(domain: AnyDomain, pairs: Sequence[Pair]) -> list[tuple[Pair, Any]]:
    """Some pairs of each level in turn, a rule once, each with the dump of its right answer."""
    from drivecoach.chat.template import split

    found: dict[str, list[tuple[Pair, Any]]] = {level: [] for level in reversed(domain.levels or [""])}
    rules: set[str] = set()
    for pair in pairs:
        answer = domain.read_answer(split(pair.output).text)
        why = domain.explain(domain.read_input(pair.input))
        here = found.setdefault(domain.level(answer) if domain.levels else "", [])
        if len(here) < EXAMPLES and (why is None or why.rule not in rules):
            here.append((pair, domain.answer.dump(answer)))
            rules |= {why.rule} if why else set()
    turns = max(map(len, found.values()), default=0)
    mixed = [here[turn] for turn in range(turns) for here in found.values() if turn < len(here)]
    return mixed[:EXAMPLES]


def _missing(found: Gathered) -> Iterator[Missing]:
    folder = found.folder
    if not found.metrics:
        yield Missing(Words("curves of the training", "训练曲线"), f"drivecoach train {found.run.recipe.name}")
    if not (folder / "export" / stage.MANIFEST).exists():
        yield Missing(Words("files to serve", "可部署的文件"), f"drivecoach export {folder}")
    if found.figures is None:
        yield Missing(Words("scores", "评分"), f"drivecoach evaluate {folder}")
    if found.certificate is None and found.domain.is_finite and found.domain.has_teacher:
        yield Missing(Words("a certificate", "证书"), f"drivecoach verify {folder}")
    if found.chain is None:
        what = Words("the chain from weights to file", "从权重到文件的环节表")
        yield Missing(what, f"drivecoach evaluate {folder} --chain")
    if found.sweep is None:
        yield Missing(Words("sizes side by side", "各量化对照"), f"drivecoach evaluate {folder} --quant-sweep")
    if found.baselines is None:
        yield Missing(Words("simpler methods", "更简单的方法"), f"drivecoach evaluate {folder} --baselines")


def headline(found: Gathered) -> tuple[str, Words] | None:
    """The share of right answers that counts most, and what it is a share of."""
    if (certificate := found.certificate) is not None:
        right = certificate.states - certificate.wrong
        return percent(right, certificate.states), Words(
            f"right, of all {certificate.states:,} inputs there are",
            f"正确率：全部 {certificate.states:,} 个输入逐一作答",
        )
    split = widest(found.figures) if found.figures else None
    if split is None:
        return None
    rows = split.exact.rows
    return percent(split.exact.count, rows), Words(
        f"right, of {rows:,} inputs ({split.split})", f"正确率：{rows:,} 个输入（{split.split}）"
    )
