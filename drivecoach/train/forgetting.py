"""Does it still know the rest? A few general questions, asked of the base before tuning and of the model after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from pydantic import BaseModel

from drivecoach.chat import Chat
from drivecoach.progress import progress
from drivecoach.train import processes

QUESTIONS = (
    ("美国第一任总统是谁？", "乔治·华盛顿", "本杰明·富兰克林"),
    ("地球的天然卫星叫什么名字？", "月球", "火星"),
    ("中国的首都是哪里？", "北京", "上海"),
    ("水的化学式是什么？", "H2O", "CO2"),
    ("一年有多少个月？", "12个月", "10个月"),
    ("《红楼梦》的作者是谁？", "曹雪芹", "罗贯中"),
    ("太阳从哪个方向升起？", "东方", "西方"),
    ("三角形的内角和是多少度？", "180度", "360度"),
    ("Who was the first president of the United States?", "George Washington", "Benjamin Franklin"),
    ("What is the name of Earth's natural satellite?", "The Moon", "The Sun"),
    ("What is the capital of France?", "Paris", "London"),
    ("What is 7 times 8?", "56", "54"),
    ("Which planet is known as the Red Planet?", "Mars", "Venus"),
    ("At what temperature in degrees Celsius does water boil at sea level?", "100", "50"),
    ("Who wrote Romeo and Juliet?", "William Shakespeare", "Charles Dickens"),
    ("What gas do plants take in for photosynthesis?", "Carbon dioxide", "Nitrogen"),
)
"""Question, right answer, wrong answer. The first two, in both languages, are the article's own."""

_ANSWER_TOKENS = 24


class Known(BaseModel, frozen=True, extra="forbid"):
    """The shares of questions whose right answer is likelier than the wrong one."""

    base: float
    tuned: float


class Forgetting(BaseModel, frozen=True, extra="forbid"):
    """Base and tuned model side by side."""

    forgetting: float
    """The mean loss of likelihood in nats per token, gains counted as none: 0 is nothing lost."""
    likelihood_change: float
    """The mean change, gains included."""
    known: Known


class Change(BaseModel, frozen=True):
    """What became of one question."""

    question: str
    right: str
    base: str
    tuned: str
    likelihood_change: float


@dataclass(frozen=True)
class Asked:
    """What a model makes of one question."""

    likelihood: float
    """Mean log-probability of the right answer's tokens, in nats; 0 is certain."""
    knows: bool
    """Whether the right answer is likelier than the wrong one, by the same measure."""
    answer: str
    """What it says by itself (greedy, its first tokens)."""


def ask(model: Any, tokenizer: Any, chat: Chat) -> list[Asked]:
    """Ask every question without a system message and without thinking; needs no gradient and changes nothing."""
    import torch

    plain = Chat("", chat.thinking, chat.family)
    training = model.training
    model.eval()
    asked = []
    told = progress("train: general questions", len(QUESTIONS), unit="question", shown=processes.is_first())
    with told as task, torch.inference_mode():
        for question, right, wrong in QUESTIONS:
            prompt = tokenizer.encode(plain.prompt(question, think=False))
            likelihood = _likelihood(model, tokenizer, prompt, right)
            found = model.generate(
                input_ids=torch.tensor([prompt], device=model.device),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
                max_new_tokens=_ANSWER_TOKENS,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            answer = tokenizer.decode(found[0, len(prompt) :], skip_special_tokens=True)
            asked.append(Asked(likelihood, likelihood > _likelihood(model, tokenizer, prompt, wrong), answer.strip()))
            task.advance()
    model.train(training)
    return asked


def compare(base: Sequence[Asked], tuned: Sequence[Asked]) -> tuple[Forgetting, list[Change]]:
    """Base and tuned model side by side, on the whole and question by question."""
    changes = [after.likelihood - before.likelihood for before, after in zip(base, tuned, strict=True)]
    whole = Forgetting(
        forgetting=mean(max(0.0, -change) for change in changes),
        likelihood_change=mean(changes),
        known=Known(base=mean(a.knows for a in base), tuned=mean(a.knows for a in tuned)),
    )
    each = [
        Change(question=question, right=right, base=before.answer, tuned=after.answer, likelihood_change=change)
        for (question, right, _), before, after, change in zip(QUESTIONS, base, tuned, changes, strict=True)
    ]
    return whole, each


def _likelihood(model: Any, tokenizer: Any, prompt: list[int], answer: str) -> float:
    import torch

    ids = tokenizer.encode(answer, add_special_tokens=False)
    logits = model(input_ids=torch.tensor([prompt + ids], device=model.device)).logits[0, len(prompt) - 1 : -1]
    chances = torch.log_softmax(logits.float(), dim=-1)
    return float(chances[range(len(ids)), ids].mean())
