"""Hugging Face weights (an adapter or a whole model) that answer: greedy decoding in 32 bits, in batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from drivecoach.chat import Chat, Message
from drivecoach.domain import JsonObject
from drivecoach.errors import InputError, ModelError, RuntimeFailure, first_line
from drivecoach.runtime import Completion

BATCH = 16


class Weights:
    """The model in ``folder`` (or with that id on the hub); an adapter is put on its base.

    ``tokenizer``: where another folder has the one to be used. ``limit``: tokens of an answer at most; ``context``:
    tokens of prompt and answer together, where that is bounded.
    Not safe to use from several threads at once. Raises ModelError for a folder that cannot be loaded.
    """

    def __init__(
        self, folder: Path | str, *, limit: int, context: int | None = None, tokenizer: str | None = None
    ) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer or str(folder), padding_side="left")
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=torch.float32, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"cannot load the weights in {folder}: {first_line(error)}",
                hint="train again, or name another link of the run: its folder, train/model, train/adapter, a GGUF",
            ) from error
        self.model.eval()
        if torch.accelerator.is_available():
            self.model.to(torch.accelerator.current_accelerator())
        self._limit, self._context = limit, context

    def complete(self, prompts: Sequence[str]) -> list[Completion]:
        """The greedy continuations of rendered prompts, decoded together; end token and padding left out.

        Raises InputError for a prompt that leaves no room in the context.
        """
        import torch

        start = time.perf_counter()
        batch = self.tokenizer(list(prompts), padding=True, return_tensors="pt").to(self.model.device)
        lengths = [int(length) for length in batch["attention_mask"].sum(dim=1)]
        if self._context is not None and max(lengths) >= self._context:
            raise InputError(
                f"the input is too long for the model's context of {self._context} tokens",
                hint="shorten it, or raise export.num_ctx in the recipe and export again",
            )
        end = self.tokenizer.eos_token_id
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=self._limit,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        seconds = time.perf_counter() - start
        found = []
        for row, length in zip(output[:, batch["input_ids"].shape[1] :].tolist(), lengths, strict=True):
            finished = end in row
            ids = row[: row.index(end)] if finished else row
            text = str(self.tokenizer.decode(ids, skip_special_tokens=False))
            found.append(Completion(text, length, len(ids), seconds, finished))
        return found

    def judge(self, rows: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each (rendered prompt, answer with its end token) is what greedy decoding would write.

        That is so where every token of the answer is the likeliest one after those before it: one forward pass tells.
        """
        import torch

        asked = [
            (self.tokenizer.encode(prompt), self.tokenizer.encode(answer, add_special_tokens=False))
            for prompt, answer in rows
        ]
        width = max(len(prompt) + len(answer) for prompt, answer in asked)
        # Padding stands behind, where no answer sees it.
        ids = torch.zeros((len(asked), width), dtype=torch.long)
        for at, (prompt, answer) in enumerate(asked):
            ids[at, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        first = min(len(prompt) for prompt, _ in asked) - 1  # before the first answer, no logits are needed
        with torch.inference_mode():
            logits = self.model(input_ids=ids.to(self.model.device), logits_to_keep=width - first).logits
        best = logits.argmax(dim=-1).cpu()
        return [
            len(answer) <= self._limit
            and (self._context is None or len(prompt) + len(answer) <= self._context)
            and best[at, len(prompt) - 1 - first :][: len(answer)].tolist() == answer
            for at, (prompt, answer) in enumerate(asked)
        ]


@dataclass
class _Asked:
    prompt: str
    answer: Future[Completion] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class WeightsRuntime:
    """Weights as a `Runtime`: those who wait when the model is free are answered in one batch."""

    slots = 2 * BATCH
    thinks: bool
    metadata: Mapping[str, object]

    def __init__(
        self,
        folder: Path | str,
        chat: Chat,
        metadata: Mapping[str, object],
        *,
        limit: int,
        context: int | None = None,
        tokenizer: str | None = None,
    ) -> None:
        self.name = str(folder)
        self.thinks = chat.thinking != "strip"
        self.metadata = metadata
        self._chat = chat
        self._open = partial(Weights, folder, limit=limit, context=context, tokenizer=tokenizer)
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._thread: threading.Thread | None = None

    @cached_property
    def _weights(self) -> Weights:
        return self._open()

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        """Answer greedily; raises RuntimeFailure for a seed or a schema, which only served models take."""
        if seed is not None or schema is not None:
            raise RuntimeFailure(
                f"{self.name} are weights, which answer greedily and under no schema",
                hint="ask the run's GGUF file or Ollama for that",
            )
        asked = _Asked(self._chat.prompt(user, history, think=think))
        with self._closing:
            if self._closed:
                raise RuntimeFailure(f"{self.name} was closed", hint="open it again, or ask before it is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="weights", daemon=True)
                self._thread.start()
            self._waiting.put(asked)
        return asked.answer.result()

    def judge(self, rows: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Whether each (rendered prompt, answer) is what the model would write, in order; see `Weights.judge`.

        Not to be called while something is being generated.
        """
        for start in range(0, len(rows), BATCH):
            yield from self._weights.judge(
                [(prompt, answer + self._chat.end) for prompt, answer in rows[start : start + BATCH]]
            )

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < BATCH and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            self._answer(batch)

    def _answer(self, batch: list[_Asked]) -> None:
        try:
            found = self._weights.complete([asked.prompt for asked in batch])
        except InputError as error:
            if len(batch) > 1:  # one of them is too long: each alone
                for asked in batch:
                    self._answer([asked])
            else:
                batch[0].answer.set_exception(error)
        except BaseException as error:  # whoever waits must hear of it, whatever it was
            for asked in batch:
                asked.answer.set_exception(error)
        else:
            now = time.perf_counter()
            for asked, completion in zip(batch, found, strict=True):
                asked.answer.set_result(replace(completion, seconds=now - asked.since))

    def close(self) -> None:
        """Finish what is asked already, then let go of the model."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()
        self.__dict__.pop("_weights", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
