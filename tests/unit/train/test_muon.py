"""Muon and AdamW as one optimizer: which weights each moves, and how far."""

from __future__ import annotations

from typing import Any

import pytest

from drivecoach.config import TrainConfig

torch = pytest.importorskip("torch")

RATE = 0.01


def model() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM, set_seed

    set_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=64, num_key_value_heads=1, head_dim=16, **shape))


def settings(**changed: Any) -> TrainConfig:
    return TrainConfig(lora=None, optimizer="muon", learning_rate=RATE, weight_decay=0.0, **changed)


def stretched(weight: Any) -> Any:
    """A gradient of the weight's shape, of full rank, ten times as steep one way as another."""
    if weight.ndim == 1:
        return torch.randn_like(weight)
    left, _, right = torch.linalg.svd(torch.randn_like(weight), full_matrices=False)
    return left * torch.logspace(0, -1, left.shape[1]) @ right


def moved(frozen: str = "") -> dict[str, Any]:
    """What one step of the optimizer adds to every weight that learns."""
    from drivecoach.train.muon import own_optimizer

    ours = model()
    for name, weight in ours.named_parameters():
        weight.requires_grad_(not frozen or frozen not in name)
    before = {name: weight.detach().clone() for name, weight in ours.named_parameters()}
    optimizer = own_optimizer(ours, settings())
    assert optimizer is not None
    for weight in ours.parameters():
        if weight.requires_grad:
            weight.grad = stretched(weight)
    optimizer.step()
    return {name: weight.detach() - before[name] for name, weight in ours.named_parameters()}


def test_matrices_of_the_layers_take_orthogonal_steps_of_adamws_size() -> None:
    """A Muon step has singular values near 0.2 · rate · √(longer side), whatever the gradient's are."""
    matrices = {name: step for name, step in moved().items() if "_proj" in name}
    assert len(matrices) >= 7
    for name, step in matrices.items():
        found = torch.linalg.svdvals(step) / (0.2 * RATE * max(step.shape) ** 0.5)
        assert found.min() > 0.5 and found.max() < 1.5, name


def test_embeddings_head_and_norms_take_adamws_steps() -> None:
    """AdamW's first step is the rate, against the gradient's sign, wherever there is a gradient."""
    others = {name: step for name, step in moved().items() if "_proj" not in name}
    assert {"embed_tokens", "norm"} <= {part for name in others for part in name.split(".")}
    for name, step in others.items():
        sizes = step.abs()[step != 0]
        assert len(sizes) and torch.allclose(sizes, torch.full_like(sizes, RATE), rtol=0.05), name


def test_frozen_weights_stay() -> None:
    steps = moved(frozen="mlp")
    still = {name for name, step in steps.items() if (step == 0).all()}
    assert still == {name for name in steps if "mlp" in name} != set()


def test_a_saved_state_goes_on_as_if_never_broken_off() -> None:
    from drivecoach.train.muon import MuonAdamW

    ids = torch.arange(1, 21).reshape(2, 10)

    def steps(ours: Any, optimizer: Any, count: int) -> None:
        for _ in range(count):
            ours(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    whole, broken = model(), model()
    steps(whole, MuonAdamW(whole, settings()), 6)
    first = MuonAdamW(broken, settings())
    steps(broken, first, 3)
    second = MuonAdamW(broken, settings())
    second.load_state_dict(first.state_dict())
    steps(broken, second, 3)
    for (name, ours), (_, theirs) in zip(whole.named_parameters(), broken.named_parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_other_optimizers_are_left_to_trl() -> None:
    from drivecoach.train.muon import own_optimizer

    assert own_optimizer(model(), TrainConfig(optimizer="adamw_torch")) is None


def test_muon_with_an_adapter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.lora: null"):
        TrainConfig(optimizer="muon")
