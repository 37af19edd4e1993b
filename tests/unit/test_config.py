"""Recipes: the shipped ones parse; of a wrong one every fault is named, with what is allowed there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.config import ExportConfig, Recipe, load_recipe
from drivecoach.config.parse import parse
from drivecoach.errors import RecipeError

RECIPES = Path(__file__).parents[2] / "recipes"
MINIMAL = "name: mine\ndata: {path: pairs.jsonl}\nbase: {source: nano}\n"


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str | bytes) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def faults_of(path: Path, overrides: list[str] | None = None) -> dict[str, tuple[str, str]]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    assert caught.value.hint
    return {fault.where: (fault.found, fault.allowed) for fault in caught.value.faults}


def test_every_shipped_recipe_parses() -> None:
    listed = [Path(root, name) for root, _, names in os.walk(RECIPES) for name in names]
    recipes = [load_recipe(path) for path in RECIPES.rglob("*.yaml")]
    assert len(recipes) == len(listed) > 0, "a file under recipes/ that is no recipe"
    assert len({recipe.name for recipe in recipes}) == len(recipes), "two recipes would share a run folder"


def test_the_smallest_recipe_takes_the_defaults(write) -> None:
    recipe = load_recipe(write(MINIMAL))
    assert (recipe.domain, recipe.data.validation, recipe.data.test) == ("driving", 0.1, 0.1)
    assert recipe.train.lora is not None and recipe.train.seed == 3407
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_recipe_may_begin_with_a_byte_order_mark(write) -> None:
    assert load_recipe(write(b"\xef\xbb\xbf" + MINIMAL.encode())).name == "mine"


@pytest.mark.parametrize(
    ("key", "beside"),
    [
        ("colour", "export"),
        ("data.colour", "path"),
        ("chat.colour", "thinking"),
        ("base.colour", "source"),
        ("base.nano.colour", "layers"),
        ("train.colour", "learning_rate"),
        ("train.lora.colour", "alpha"),
        ("export.colour", "num_ctx"),
        ("evaluate.colour", "states"),
    ],
)
def test_an_unknown_key_is_named_with_the_keys_allowed_there(write, key: str, beside: str) -> None:
    found, allowed = faults_of(write(MINIMAL), [f"{key}=1"])[key]
    assert found == "unknown key"
    assert beside in allowed.split(", ")
    assert "colour" not in allowed


def test_an_unknown_key_in_a_list_is_named_with_its_place(write) -> None:
    mix = "data.mix=[{path: a, share: 0.5}, {path: b, share: 0.5, colour: 1}]"
    found, allowed = faults_of(write(MINIMAL.replace("path: pairs.jsonl", "")), [mix])["data.mix.1.colour"]
    assert found == "unknown key"
    assert "share" in allowed.split(", ")


def test_all_faults_are_reported_at_once(write) -> None:
    text = """
name: ../escape
data: {test: 1.0, colour: 1}
base: {source: floppy}
train: {epochs: 0, learning_rate: .inf, lora: {r: sixteen}, colour: red, seed: 1.5}
export: {name: "a b", quantizations: [q2_K], temperature: -1}
"""
    faults = faults_of(write(text))
    assert set(faults) == {
        "name", "data.path", "data.test", "data.colour", "base.source", "train.epochs",
        "train.learning_rate", "train.lora.r", "train.colour", "train.seed",
        "export.name", "export.quantizations.0", "export.temperature",
    }  # fmt: skip
    assert faults["data.path"][0] == "missing"
    assert faults["train.lora.r"][0] == "'sixteen'"
    assert "q4_K_M" in faults["export.quantizations.0"][1]


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf"])
def test_numbers_are_finite(write, value: str) -> None:
    assert set(faults_of(write(MINIMAL), [f"train.epochs={value}"])) == {"train.epochs"}


@pytest.mark.parametrize("source", ["hub", "modelscope", "local"])
def test_a_base_that_is_fetched_needs_a_name(write, source: str) -> None:
    ((_, allowed),) = faults_of(write(MINIMAL), [f"base.source={source}"]).values()
    assert "base.name" in allowed


@pytest.mark.parametrize("setting", ["backend=unsloth", "backend=mine", "quantize=4bit"])
def test_the_embedded_base_has_a_backend_of_its_own(write, setting: str) -> None:
    ((_, allowed),) = faults_of(write(MINIMAL), [f"train.{setting}"]).values()
    assert "base.source: nano" in allowed


def test_overrides_reach_every_level(write) -> None:
    overrides = [
        "name=other",
        "train.epochs=0.5",
        "train.learning_rate=2e-3",
        "train.lora=null",
        "base.nano.layers=2",
        "export.quantizations=[f16, q8_0]",
        "data.path=a=b.json",
    ]
    recipe = load_recipe(write(MINIMAL), overrides)
    assert (recipe.name, recipe.train.epochs, recipe.train.learning_rate) == ("other", 0.5, 0.002)
    assert recipe.train.lora is None
    assert recipe.base.nano.layers == 2
    assert recipe.export.quantizations == ["f16", "q8_0"]
    assert recipe.data.path == "a=b.json"
    assert load_recipe(write(MINIMAL), ["train.epochs=1", "train.epochs=2"]).train.epochs == 2


@pytest.mark.parametrize(
    "text",
    ["train.epochs", "=3", "train..epochs=3", "name.first=x", "train.epochs=[1", "name=2024-13-45", ""],
)
def test_a_bad_override_is_quoted_back(write, text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(MINIMAL), [text])
    assert repr(text) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("recipe", "overrides", "origins"),
    [
        (MINIMAL, ["train.epochs=x"], ["--set train.epochs=x"]),
        (MINIMAL, ["train.epoch=3", "train.epochs=2"], ["--set train.epoch=3"]),
        (MINIMAL, ["train={epochs: x}"], ["--set train={epochs: x}"]),
        (MINIMAL + "train: {epochs: x}\n", ["train.seed=1"], ["recipe.yaml"]),
        (MINIMAL + "train: {epochs: x}\n", ["train.seed=y"], ["recipe.yaml", "--set train.seed=y"]),
        (MINIMAL + "train: {lora: null}\n", ["train.quantize=4bit"], ["--set train.quantize=4bit", "recipe.yaml"]),
        (MINIMAL, ["chat.template=gemma"], ["--set chat.template=gemma", "recipe.yaml"]),
    ],
    ids=["value", "key", "section", "only the recipe", "both", "do not fit", "sections do not fit"],
)
def test_the_hint_names_the_override_that_the_fault_came_from(
    write, recipe: str, overrides: list[str], origins: list[str]
) -> None:
    path = write(recipe)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    named = caught.value.hint.removeprefix("correct ").replace(str(path), "recipe.yaml")
    assert sorted(named.split(", ")) == sorted(origins)
    assert caught.value.message.replace(str(path), "recipe.yaml").startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no settings"),
        (b"# only a comment\n", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"just text", "holds no settings"),
        ("name: 教练".encode("gb18030"), "UTF-8"),
        (b"name: [1, 2\ndata: x\n", "not valid YAML"),
        (b"name: \x00\n", "not valid YAML"),
        (b"name: 2024-13-45\n", "not valid YAML"),
        (b"name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (b"name: " + b"[" * 3000, "not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe(write, content: bytes, said: str) -> None:
    path = write(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(path) in caught.value.message
    assert said in f"{caught.value.message}; {caught.value.hint}"


def test_keys_that_are_no_text_are_faults(write) -> None:
    assert faults_of(write(MINIMAL + "1: 2\n"))


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (BOMB, "values"),
        ("data: &a {path: x}\n" + "\n".join(f"k{n}: {{<<: *a, z{n}: 1}}" for n in range(4000)), "values"),
        ("train: &here {lora: *here}", "stands inside what it names"),
        ("train: " + "{a: " * 60 + "1" + "}" * 60, "levels"),
        ("train: " + "[" * 60, "levels"),
        ("# " + "x" * (1 << 20), "longer than"),
        ('colour: "a\\0b"', "null character"),
    ],
    ids=["bomb", "merges", "circle", "depth", "depth of lists", "size", "null"],
)
def test_a_recipe_that_would_fill_the_memory_is_refused_at_once(write, more: str, said: str) -> None:
    with pytest.raises(RecipeError, match="not valid YAML") as caught:
        load_recipe(write(MINIMAL + more + "\n"))
    assert said in caught.value.message
    value = more.partition(": ")[2]
    if said == "levels":
        with pytest.raises(RecipeError, match="--set"):
            load_recipe(write(MINIMAL), [f"train={value}"])


def test_an_alias_is_a_copy_and_an_override_changes_one_place(write) -> None:
    text = "name: mine\ndata: {mix: [&a {path: a.jsonl, share: 0.5}, {<<: *a, path: b.jsonl}]}\nbase: {source: nano}\n"
    recipe = load_recipe(write(text))
    assert [Path(source.path).name for source in recipe.data.mix] == ["a.jsonl", "b.jsonl"]
    shared = "train: {lora: &l {r: 8}}\nexport: {author: *n}\n"
    again = load_recipe(write(MINIMAL.replace("mine", "&n mine") + shared), ["train.lora.r=4", "name=other"])
    assert again.train.lora is not None and again.train.lora.r == 4
    assert (again.name, again.export.author) == ("other", "mine")


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("train.batch_size=true", "train.batch_size"),
        ("train.batch_size='\"64\"'", "train.batch_size"),
        ("train.batch_size=64.0", "train.batch_size"),
        ("train.epochs=false", "train.epochs"),
        ("train.epochs='\"2\"'", "train.epochs"),
        ("train.auto_batch=1", "train.auto_batch"),
        ("train.auto_batch='\"true\"'", "train.auto_batch"),
        ("train.max_steps=true", "train.max_steps"),
        ("data.test=true", "data.test"),
        ("data.path=7", "data.path"),
        ("base.nano.layers='\"2\"'", "base.nano.layers"),
        ("export.temperature='\"0\"'", "export.temperature"),
    ],
)
def test_a_value_of_another_type_is_a_fault(write, setting: str, where: str) -> None:
    assert set(faults_of(write(MINIMAL), [setting])) == {where}


@given(
    st.floats(min_value=1e-300, max_value=1e300),
    st.sampled_from(["{:e}", "{:.1e}", "{:.0e}", "{:E}", "{!r}", "{:.3g}"]),
)
def test_numbers_may_be_written_in_every_usual_way(number: float, form: str) -> None:
    text = form.format(number)
    assert parse(text) == pytest.approx(float(text), rel=0)


def test_whole_numbers_may_stand_for_fractions(write) -> None:
    recipe = load_recipe(write(MINIMAL), ["train.epochs=3", "train.weight_decay=0", "export.temperature=1"])
    assert (recipe.train.epochs, recipe.train.weight_decay, recipe.export.temperature) == (3.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["base.nano.heads=3"], "kv_heads: 2 cannot be shared"),
        (["base.nano.kv_heads=8"], "kv_heads: 8 cannot be shared"),
        (["base.nano={heads: 1, kv_heads: 1, head_dim: 16}", "export.quantizations=[q8_0]"], "multiple of 32"),
        (["base.nano={heads: 3, kv_heads: 3}"], ""),
        (["base.nano={heads: 3, kv_heads: 1, head_dim: 10}"], ""),
        (["base.nano={heads: 1, kv_heads: 1, head_dim: 16}"], ""),
    ],
)
def test_shapes_that_cannot_be_are_found_when_the_recipe_is_read(write, settings: list[str], said: str) -> None:
    if not said:
        assert load_recipe(write(MINIMAL), settings)
        return
    ((_, allowed),) = faults_of(write(MINIMAL), settings).values()
    assert said in allowed


@pytest.mark.parametrize("path", ["/dev/zero", "/", "", ".", "n" * 5000])
def test_a_path_that_is_no_recipe(path: str) -> None:
    with pytest.raises(RecipeError, match="cannot read recipe") as caught:
        load_recipe(Path(path))
    assert caught.value.hint


def test_a_missing_recipe_lists_those_that_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(RECIPES.parent)
    with pytest.raises(RecipeError, match="no recipe at") as caught:
        load_recipe(Path("recipes/nanoo.yaml"))
    assert "recipes/nano.yaml" in caught.value.hint
    with pytest.raises(RecipeError, match="cannot read"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "mine"),
        (["name=trial"], "trial"),
        (["export.name=goDrive"], "goDrive"),
        (["name=trial", "export.name=goDrive"], "goDrive"),
        (["name=trial", "export={name: goDrive}"], "goDrive"),
        (["export.num_ctx=512"], "mine"),
        (["export={}"], "mine"),
        (["export.name=null"], "mine"),
    ],
)
def test_a_model_has_its_runs_name_unless_it_is_given_another(write, overrides: list[str], name: str) -> None:
    assert load_recipe(write(MINIMAL), overrides).export.name == name
    assert Recipe.model_validate({**yaml.safe_load(MINIMAL), "export": ExportConfig()}).export.name == "mine"


@pytest.mark.parametrize(
    ("overrides", "name"), [([], "goDrive"), (["name=trial"], "trial"), (["name=mine"], "goDrive")]
)
def test_a_run_that_is_renamed_never_takes_the_name_of_the_model_in_use(write, overrides: list[str], name: str) -> None:
    path = write(MINIMAL + "export: {name: goDrive, num_ctx: 512}\n")
    recipe = load_recipe(path, overrides)
    assert (recipe.export.name, recipe.export.num_ctx) == (name, 512)


def test_only_the_main_road_is_called_godrive() -> None:
    named = {path.stem for path in RECIPES.rglob("*.yaml") if load_recipe(path).export.name == "goDrive"}
    assert named == {"nano", "qwen3-0.6b"}


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_has_32_bits(write, seed: int) -> None:
    assert set(faults_of(write(MINIMAL), [f"train.seed={seed}"])) == {"train.seed"}
    for fitting in (0, 2**32 - 1):
        assert load_recipe(write(MINIMAL), [f"train.seed={fitting}"]).train.seed == fitting


def test_limits_are_settings_with_standard_values(write) -> None:
    recipe = load_recipe(write(MINIMAL))
    assert (recipe.evaluate.states, recipe.evaluate.rows, recipe.export.parity_states) == (5000, None, 100)
    assert set(faults_of(write(MINIMAL), ["evaluate.states=-1", "evaluate.rows=0", "export.parity_states=0"])) == {
        "evaluate.states", "evaluate.rows", "export.parity_states",
    }  # fmt: skip


def test_a_recipe_cannot_be_changed_after_it_was_read(write) -> None:
    recipe = load_recipe(write(yaml.safe_dump(yaml.safe_load(MINIMAL))))
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.epochs = 5  # type: ignore[misc]


def test_a_validation_without_a_checkpoint_cannot_be_chosen_from(write) -> None:
    trained = "train: {best_by: exact_match, checkpoint_steps: 10, evaluate_every: %d}\n"
    assert load_recipe(write(MINIMAL + trained % 10)).train.evaluate_every == 10
    (_, allowed) = faults_of(write(MINIMAL + trained % 5))["train"]
    assert "leave train.evaluate_every out" in allowed
    assert load_recipe(write(MINIMAL + "train: {evaluate_every: 5}\n")).train.checkpoint_steps == 200


def test_answers_that_leave_no_room_for_a_prompt_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL + "export: {num_ctx: 256, num_predict: 256}\n", encoding="utf-8")
    with pytest.raises(RecipeError) as refused:
        load_recipe(path)
    assert "num_predict must be below export.num_ctx" in str(refused.value)
