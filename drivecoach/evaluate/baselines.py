"""Simpler ways to answer, on the model's own questions: majority, nearest pair, trees, rules, the untuned base."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from drivecoach.chat import Message, chat_of
from drivecoach.config import read_recipe
from drivecoach.data.check import Pair
from drivecoach.domain import AnyDomain
from drivecoach.domain.node import text_of
from drivecoach.domain.scores import at
from drivecoach.errors import ModelError
from drivecoach.evaluate.answers import Reply, ask_all, generate_all
from drivecoach.evaluate.measure import Judged, is_below, judge_reply
from drivecoach.evaluate.questions import Questions, cases_of
from drivecoach.evaluate.result import BaselineRow, Baselines, BaselineTable, Rate, now, paired
from drivecoach.evaluate.scores import AnyCase, Case
from drivecoach.evaluate.target import Target
from drivecoach.evaluate.weights import WeightsRuntime
from drivecoach.infer import Question
from drivecoach.progress import progress

SHOTS = 8
"""Examples that the untuned base is shown, at most."""
_CODES = 0.2
"""Bits of a class's error-correcting code, for each class: trees for many classes at once would take hours."""
_MOST_VALUES = 255
"""A field of more values is a number to boosted trees."""
_FEW = 30
"""Up to so many different answers, each has boosted trees of its own."""

Answerer = Callable[[Sequence[AnyCase]], list[str]]
"""Texts of answers to questions."""


def compare_baselines(target: Target, questions: Questions, base: str | None = None) -> Baselines:
    """The model beside every simpler way that its domain allows, on each split; all learn from the training pairs.

    ``base``: the folder or hub id of the pretrained model before it was tuned, asked with no examples and with a few.
    Raises ModelError where the training pairs are not known.
    """
    if not questions.train:
        raise ModelError(
            f"what {target.name} was trained on is not known, so nothing can learn from it",
            hint="name a run folder: drivecoach evaluate runs/NAME --baselines",
        )
    domain = target.domain
    train = cases_of([pair for pair in questions.train if not pair.history], domain)
    ways: dict[str, tuple[Answerer, str]] = {"majority answer": (_majority(domain, train), "")}
    if _columns(domain):
        ways["nearest training pair"] = (_nearest(domain, train), "by the number of fields that differ (Hamming)")
        ways |= _trees(domain, train)
    if domain.has_teacher:
        ways["rules"] = (
            lambda cases: [_taught(domain, case) for case in cases],
            "the domain's teacher, who also says what is right of uniform and hard",
        )
    if base is not None:
        ways |= _untuned(target, base, questions.train)
    tables: list[BaselineTable] = []
    for split, cases in questions.splits.items():
        with progress(f"evaluate: {split}", len(cases), unit="answer") as task:
            replies = ask_all(target, cases, advance=task.advance)
        model = [judge_reply(domain, case, reply) for case, reply in zip(cases, replies, strict=True)]
        rows = [_row(domain, "model", model, None, None)]
        for name, (answer, note) in ways.items():
            with progress(f"evaluate: {split}, {name}"):
                start = time.perf_counter()
                texts = answer(cases)
                milliseconds = 1000 * (time.perf_counter() - start) / len(cases)
            given = [judge_reply(domain, case, Reply(text)) for case, text in zip(cases, texts, strict=True)]
            rows.append(_row(domain, name, given, model, milliseconds, note))
        tables.append(BaselineTable(split=split, trained_on=len(train), rows=rows))
    return Baselines(made=now(), tables=tables)


def told_baselines(found: Baselines) -> Iterator[tuple[str, str]]:
    """The baselines in words, a row for each split."""
    for table in found.tables:
        lines = []
        for row in table.rows:
            below = "" if row.below is None else f", {row.below:,} below"
            cost = "" if row.milliseconds is None else f", {max(row.milliseconds, 0.001):.3f} ms"
            exact = f"{row.exact.share:.2%} ({row.exact.low:.2%} to {row.exact.high:.2%})"
            lines.append(f"{row.name}: exact {exact}{below}{cost}")
        yield f"{table.split} ({table.rows[0].exact.rows:,})", "\n".join(lines)
    yield "plainly", "\n".join(line for table in found.tables for line in _verdict(table))


def _row(
    domain: AnyDomain,
    name: str,
    given: Sequence[Judged],
    model: Sequence[Judged] | None,
    milliseconds: float | None,
    note: str = "",
) -> BaselineRow:
    rights = [one.right for one in given]
    broken = sum(bool(one.violations) for one in given)
    return BaselineRow(
        name=name,
        exact=Rate.of(sum(rights), len(rights)),
        below=sum(is_below(domain, one) for one in given) if domain.levels else None,
        violating=Rate.of(broken, len(given)) if domain.has_invariants else None,
        milliseconds=milliseconds,
        against=None if model is None else paired([one.right for one in model], rights),
        note=note,
    )


def _verdict(table: BaselineTable) -> Iterator[str]:
    """Where a simpler way would do, or does not."""
    model = table.rows[0]
    for row, against in table.as_good:
        better = "better" if against.differ else "as good, as far as these rows can tell"
        yield (
            f"{table.split}, {row.name}: {better} ({row.exact.share:.2%}, the model {model.exact.share:.2%}, "
            f"McNemar p {against.p_value:.2g}), so it would do where only such inputs are asked"
        )
    if not table.as_good:
        best = table.best
        yield f"{table.split}: the best simpler way is {best.name} with {best.exact.share:.2%}; the model is better"


def _majority(domain: AnyDomain, train: Sequence[AnyCase]) -> Answerer:
    most = Counter(domain.write_answer(case.expected) for case in train).most_common(1)[0][0]
    return lambda cases: [most] * len(cases)


def _taught(domain: AnyDomain, case: AnyCase) -> str:
    answer = domain.teach(domain.read_input(case.question.text))
    return "" if answer is None else domain.write_answer(answer)


def _columns(domain: AnyDomain) -> list[tuple[str, ...]]:
    """The closed fields of the input: what counts for the nearest pair and for trees."""
    return [path for path, node in domain.input.node.leaves() if node.kind == "closed"]


def _table(domain: AnyDomain, cases: Sequence[AnyCase]) -> np.ndarray[Any, Any]:
    """Every closed field as the number of its value, a row a case."""
    codes = [
        {text_of(value): number for number, value in enumerate(node.values)}
        for _, node in domain.input.node.leaves()
        if node.kind == "closed"
    ]
    rows = np.full((len(cases), len(codes)), -1, dtype=np.int16)
    for at_row, case in enumerate(cases):
        dumped: JsonValue = domain.input.dump(domain.read_input(case.question.text))
        for column, path in enumerate(_columns(domain)):
            rows[at_row, column] = codes[column].get(text_of(at(dumped, path)), -1)
    return rows


def _nearest(domain: AnyDomain, train: Sequence[AnyCase]) -> Answerer:
    """The answer of the training pair that differs in the fewest fields; of several the first."""
    known = _table(domain, train)
    answers = [domain.write_answer(case.expected) for case in train]

    def answer(cases: Sequence[AnyCase]) -> list[str]:
        return [answers[int((known == row).sum(axis=1).argmax())] for row in _table(domain, cases)]

    return answer


def _trees(domain: AnyDomain, train: Sequence[AnyCase]) -> dict[str, tuple[Answerer, str]]:
    """A decision tree and gradient-boosted trees; each different answer of the training pairs is a class."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.multiclass import OutputCodeClassifier
        from sklearn.preprocessing import OneHotEncoder
        from sklearn.tree import DecisionTreeClassifier
    except ModuleNotFoundError:
        raise ModelError(
            "the baselines need scikit-learn, which is not installed", hint="pip install 'drivecoach[train]'"
        ) from None
    table = _table(domain, train)
    answers = np.array([domain.write_answer(case.expected) for case in train])
    classes = len(set(answers))
    if classes < 2:
        return {}
    encoder = OneHotEncoder(handle_unknown="ignore").fit(table)
    few_values = [bool(most < _MOST_VALUES) for most in table.max(axis=0)]
    with progress("evaluate: fit the trees"):
        tree = DecisionTreeClassifier(random_state=0).fit(encoder.transform(table), answers)
        boosted: Any = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.2,
            min_samples_leaf=2,
            early_stopping=False,
            random_state=0,
            categorical_features=few_values,
        )
        if classes > _FEW:
            boosted = OutputCodeClassifier(boosted, code_size=_CODES, random_state=0)
        boosted.fit(table, answers)
    coded = f"{classes:,} answers by error-correcting codes" if classes > _FEW else f"{classes:,} answers"
    return {
        "decision tree": (
            lambda cases: [str(text) for text in tree.predict(encoder.transform(_table(domain, cases)))],
            f"{classes:,} answers, {tree.get_n_leaves():,} leaves",
        ),
        "gradient-boosted trees": (
            lambda cases: [str(text) for text in boosted.predict(_table(domain, cases))],
            coded,
        ),
    }


def _untuned(target: Target, base: str, train: Sequence[Pair]) -> dict[str, tuple[Answerer, str]]:
    """The base before it was tuned, asked with no examples and with the first few training pairs as turns before."""
    assert target.run is not None  # noqa: S101  # training pairs are known of runs alone
    recipe = read_recipe(target.run)
    chat = chat_of(recipe.chat, target.domain)
    fitted = target.run / "train" / ("model" if recipe.train.lora is None else "adapter")
    shown = [
        message
        for case in cases_of([pair for pair in train if not pair.history][:SHOTS], target.domain)
        for message in _turns(target.domain, case)
    ]

    def ask(examples: list[Message]) -> Answerer:
        def answer(cases: Sequence[AnyCase]) -> list[str]:
            asked = [
                Case(Question(case.question.text, (*examples, *case.question.history)), case.expected) for case in cases
            ]
            limit = recipe.export.num_predict
            with WeightsRuntime(base, chat, {}, limit=limit, tokenizer=str(fitted)) as runtime:
                whole = Target(base, "weights", target.domain, runtime, chat, None, None, "", "", lambda: base)
                return [reply.text for reply in generate_all(whole, asked)]

        return answer

    return {
        "untuned base, no examples": (ask([]), base),
        f"untuned base, {len(shown) // 2} examples": (ask(shown), base),
    }


def _turns(domain: AnyDomain, case: AnyCase) -> list[Message]:
    return [
        {"role": "user", "content": case.question.text},
        {"role": "assistant", "content": domain.write_answer(case.expected)},
    ]
