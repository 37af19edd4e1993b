"""`drivecoach ask` and `drivecoach infer`: one validated answer, or a file of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.errors import DataError
from drivecoach.files import written_aside
from drivecoach.registry import load_domain

Model = Annotated[str, typer.Option("--model", help="A GGUF file, or ollama:NAME.")]
Host = Annotated[str | None, typer.Option("--host", help="Ollama's address (default: OLLAMA_HOST or 127.0.0.1:11434).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

DEFAULT_MODEL = "runs/nano/export/goDrive-q4_K_M.gguf"


def ask(
    line: Annotated[str, typer.Argument(help="A feature line: <特征>场地类型:科目二; …</特征>")],
    model: Model = DEFAULT_MODEL,
    host: Host = None,
    domain: Annotated[str, typer.Option(help="Whose input this is.")] = "driving",
    as_json: AsJson = False,
) -> None:
    """Answer one input; exit 1 when the answer is not valid."""
    from drivecoach import infer as inference
    from drivecoach.runtime import open_runtime

    knowledge = load_domain(domain)
    knowledge.read_input(line)  # a bad line is an error message, before a model is loaded
    with open_runtime(model, host=host) as runtime:
        outcome = inference.ask(runtime, knowledge, line)
    if as_json:
        show.as_json(outcome.to_json())
    elif outcome.answer is not None:
        show.stdout.print(knowledge.write_answer(outcome.answer), markup=False)
    if outcome.status != "valid":
        show.stderr.print(f"{outcome.status}: {outcome.reason}", markup=False)
        raise typer.Exit(1)


def infer(
    source: Annotated[Path, typer.Argument(help='One input a line, plain or as {"input": "…"}.')],
    output: Annotated[Path, typer.Option("-o", "--output", help="Outcome rows, JSONL.")],
    model: Model = DEFAULT_MODEL,
    host: Host = None,
    domain: Annotated[str, typer.Option(help="Whose inputs these are.")] = "driving",
    as_json: AsJson = False,
) -> None:
    """Answer every line of a file; one outcome row (valid, invalid or failed) per input, in input order."""
    import time

    from drivecoach import infer as inference
    from drivecoach.runtime import open_runtime

    knowledge = load_domain(domain)
    texts = list(read_inputs(source))
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    with (
        open_runtime(model, host=host) as runtime,
        written_aside(output) as part,
        part.open("w", encoding="utf-8") as stream,
        show.bar("infer") as open_bar,
    ):
        advance = open_bar(len(texts))
        for outcome in inference.ask_many(runtime, knowledge, texts):
            stream.write(json.dumps(outcome.to_json(), ensure_ascii=False) + "\n")
            counts[outcome.status] += 1
            advance()
    seconds = time.perf_counter() - start
    summary = {
        "rows": len(texts),
        **{status: counts[status] for status in ("valid", "invalid", "failed")},
        "rows per second": round(len(texts) / seconds, 1),
        "output": str(output),
    }
    if as_json:
        show.as_json(summary)
    else:
        show.table("infer", summary)
    if counts["valid"] < len(texts):
        raise typer.Exit(1)


def read_inputs(source: Path) -> Iterator[str]:
    """Yield the input texts of a file of plain lines or of JSONL objects with an ``input`` key.

    A line that starts with ``{`` but holds no such object is passed on as it is, and becomes a failed row.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no file at {source}", hint="check the path") from None
    except UnicodeDecodeError:
        raise DataError(
            f"{source} is not UTF-8", hint=f"convert it: iconv -f GB18030 -t UTF-8 {source}"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}", hint="name a readable file") from None
    if not text.strip():
        raise DataError(f"{source} is empty", hint="give one feature line per line")
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line) if line.lstrip().startswith("{") else line
            yield value["input"] if isinstance(value, dict) and isinstance(value.get("input"), str) else line
        except json.JSONDecodeError:
            yield line
