"""A driving school's own variant, from one file outside the package: drawn, tuned, exported, asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drivecoach import Coach
from drivecoach.cli.app import make_app
from drivecoach.domains.load import load_domain
from drivecoach.errors import InputError
from drivecoach.gguf.reader import read_metadata
from drivecoach.pipeline import Run as PipelineRun

EXAMPLE = Path(__file__).parents[2] / "examples" / "driving-school"
SNOW = (
    "<特征>场地类型:科目三; 当前项目:直线行驶; 车辆类型:手动挡; 挡位:3挡; 手刹:放下; 发动机:打火; 安全带:系上; "
    "车门:关闭; 离合:未踩; 刹车:未踩; 油门:踩下; 速度:过快; 时间特征:白天; 天气:雪</特征>"
)


def drivecoach(*words: object) -> Result:
    result = CliRunner().invoke(make_app(), [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder with pairs of its own rules and a model that was tuned for three steps."""
    folder = tmp_path_factory.mktemp("school") / "driving-school"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("pairs", "__pycache__"))
    domain = f"{folder}/school.py:SCHOOL"
    drawn = drivecoach("data", "generate", folder / "pairs" / "school.json", "--count", 400, "--domain", domain)
    assert drawn.exit_code == 0, drawn.output
    settings = ["train.max_steps=3", "train.batch_size=8", "train.warmup_steps=0", "export.num_predict=64"]
    shape = "base.nano={hidden_size: 64, layers: 1, heads: 2, kv_heads: 1, head_dim: 32, intermediate_size: 64}"
    words = [word for setting in [*settings, shape] for word in ("--set", setting)]
    tuned = drivecoach("tune", folder / "recipe.yaml", "--runs", folder / "runs", *words)
    assert tuned.exit_code == 0, tuned.output
    return folder


def test_its_own_rules_come_first_and_its_pairs_are_sound(school: Path) -> None:
    domain = f"{school}/school.py:SCHOOL"
    checked = drivecoach("data", "check", school / "pairs" / "school.json", "--domain", domain, "--json")
    counts = json.loads(checked.stdout)
    assert (counts["rows"], counts["accepted"], counts["warnings"]) == (400, 400, [])
    coach = load_domain(domain)
    taught = coach.teach(coach.read_input(SNOW))
    assert "打开双闪" in taught.actions and taught.level == "危险"
    assert "天气" in (school / "pairs" / "school.json").read_text(encoding="utf-8")


def test_its_model_is_asked_by_file_by_run_and_from_python(school: Path) -> None:
    run = school / "runs" / "driving-school"
    (gguf,) = (run / "export").glob("*-q4_K_M.gguf")
    assert read_metadata(gguf)["drivecoach.domain"] == "school"
    for words in (["--model", gguf, "--domain", f"{school}/school.py:SCHOOL"], ["--model", run]):
        outcome = json.loads(drivecoach("ask", SNOW, "--json", *words).stdout)
        assert outcome["input"] == SNOW
        assert outcome["status"] in ("valid", "invalid")  # three steps teach nothing; what matters is who judged it
        assert "not installed" not in json.dumps(outcome)
    with pytest.raises(InputError, match=r"天气: 雾 \(allowed: 晴, 雨, 雪"):
        CliRunner().invoke(make_app(), ["ask", SNOW.replace("雪", "雾"), "--model", str(run)], catch_exceptions=False)
    coach_domain = load_domain(f"{school}/school.py:SCHOOL")
    with Coach(str(gguf), domain=coach_domain, guard="replace") as coach:
        answer = coach.ask(SNOW)
    assert answer.source == "rules" or answer.violations == ()


def test_without_its_file_the_model_is_checked_by_its_schema_and_says_so(school: Path) -> None:
    (gguf,) = (school / "runs" / "driving-school" / "export").glob("*-q4_K_M.gguf")
    asked = CliRunner().invoke(make_app(), ["ask", SNOW, "--model", str(gguf), "--json"])
    assert json.loads(asked.stdout)["input"] == SNOW
    with Coach(str(gguf)) as coach:
        assert "invariants are not checked" in coach.note


def test_a_run_whose_domain_file_is_gone_goes_by_what_its_model_says(school: Path) -> None:
    run, told = school / "runs" / "driving-school", []
    (school / "school.py").rename(school / "moved.py")
    try:
        opened = PipelineRun.open(run, told.append)
        assert opened.domain.name == "school"
        assert "invariants are not checked" in told[0]
        assert PipelineRun.open(run, domain=f"{school}/moved.py:SCHOOL").domain.has_invariants
    finally:
        (school / "moved.py").rename(school / "school.py")
