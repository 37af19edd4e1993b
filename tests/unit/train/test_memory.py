"""Out of memory: the message names what to lower, in the order to try; the search for the largest batch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from drivecoach.config import LoraConfig, TrainConfig  # noqa: E402
from drivecoach.errors import TrainError  # noqa: E402
from drivecoach.train import memory  # noqa: E402


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried…"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_which_settings_to_lower(error: Exception) -> None:
    with pytest.raises(TrainError, match="out of memory") as caught, memory.explained(TrainConfig(batch_size=8)):
        raise error
    hint = caught.value.hint
    parts = ["train.batch_size (now 8)", "gradient_checkpointing", "quantize: 4bit", "train.max_length", "smaller"]
    assert [hint.index(part) for part in parts] == sorted(hint.index(part) for part in parts)


def test_what_is_lowered_already_is_not_named() -> None:
    settings = TrainConfig(batch_size=1, gradient_checkpointing=True, quantize="4bit", lora=LoraConfig())
    with pytest.raises(TrainError) as caught, memory.explained(settings):
        raise MemoryError
    assert not any(word in caught.value.hint for word in ("batch_size", "checkpointing", "4bit"))


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory.explained(TrainConfig()):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (5, 4), (6, 6), (100, 12)])
def test_the_largest_batch_divides_the_whole_so_that_training_stays_the_same(limit: int, found: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    assert memory.largest(fits, 12) == found
    assert tried == sorted(tried), "a batch that is too large is tried once, last"


def test_auto_batch_takes_real_memory_into_account() -> None:
    """A model that cannot take more than three rows gets batches of two, and twice the steps in between."""

    class Small(torch.nn.Module):
        device, dtype = torch.device("cpu"), torch.float32

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> object:
            if len(input_ids) > 3:
                torch.empty(1 << 60)  # the real error
            return type("Output", (), {"loss": self.weight.sum() * input_ids.sum()})

    rows = [{"input_ids": [1], "labels": [1]}, {"input_ids": [1, 2], "labels": [1, 2]}]
    model = Small()
    settings = memory.auto_batch(model, rows, TrainConfig(batch_size=4, gradient_accumulation=2))  # type: ignore[arg-type]
    assert (settings.batch_size, settings.gradient_accumulation) == (2, 4)
    assert model.weight.grad is None
