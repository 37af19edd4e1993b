"""The typed settings of one tuning run: what a recipe may say, and what fits together."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivecoach.domains.load import Reference
from drivecoach.errors import ModelError

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
"""A name that is safe in a path, a URL and a Modelfile."""

Quantization = Literal["f16", "q8_0", "q6_K", "q5_K_M", "q4_K_M", "q3_K_M"]
"""In which precision a GGUF holds its weights, by the names of ``llama-quantize``."""

Share = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    """Strict: ``true`` is no number, ``"64"`` neither; a whole number may stand where fractions are allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class SourceConfig(_Section):
    """Where rows come from and how they are written."""

    path: str
    """A file (JSON, JSONL, CSV, TSV, XLSX, Parquet), or the id of a data set on the hub or ModelScope."""
    source: Literal["local", "hub", "modelscope"] = "local"
    """``local``: a file; ``hub``: Hugging Face; ``modelscope``: ModelScope."""
    subset: str | None = None
    """The configuration of a data set that has several."""
    split: str = "train"
    """Which split of a hub or ModelScope data set is read."""
    revision: str | None = None
    format: Literal["auto", "pairs", "alpaca", "messages", "sharegpt", "table"] = "auto"
    """``auto`` decides by the keys of a row; ``table``: one column a field of the input and of the answer."""
    columns: dict[str, str] = {}
    """Our name to the file's, e.g. ``{input: parent_text, output: comment_body}``."""
    share: float | None = Field(None, gt=0, le=1)
    """In a mix: the share of all rows that come from here."""

    @property
    def label(self) -> str:
        """How messages name this source."""
        split = f"@{self.split}" if self.split != "train" else ""
        return self.path + (f":{self.subset}" if self.subset else "") + split


class DataConfig(SourceConfig):
    """Where the pairs are, and how many are held out (shares of all rows, by a hash of the input)."""

    mix: list[SourceConfig] = []
    """Several sources instead of ``path``, each with its ``share``."""
    validation: Share = 0.1
    """Share of the rows that is held out to see during the training whether it gets better."""
    test: Share = 0.1
    """Share of the rows that is held out for the scores alone."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Use this share of the accepted rows (for a quick run), chosen by a hash of the input."""
    refused: Literal["stop", "drop"] = "stop"
    """``stop``: a refused or over-long row ends the run; ``drop``: it is counted, reported and left out."""

    @model_validator(mode="before")
    @classmethod
    def _path_or_mix(cls, raw: Any) -> Any:
        return {"path": "", **raw} if isinstance(raw, dict) and raw.get("mix") else raw

    @model_validator(mode="after")
    def _one_way(self) -> DataConfig:
        if bool(self.path) == bool(self.mix):
            raise ValueError("give data.path, or data.mix with several sources, not both")
        shares = [source.share for source in self.mix]
        if self.mix and (None in shares or abs(sum(share or 0 for share in shares) - 1) > 1e-6):
            raise ValueError("every source of data.mix needs a share, and the shares add up to 1")
        if len({source.label for source in self.mix}) < len(self.mix):
            raise ValueError("data.mix names one source twice")
        return self

    @property
    def sources(self) -> list[SourceConfig]:
        """All sources, one or several."""
        return self.mix or [self]


class ChatConfig(_Section):
    """How pairs become prompts.

    ``thinking: strip`` trains on the answer alone, ``keep`` on ``<think>`` too, ``mixed`` on both ways: one model that
    thinks or not as each request says.
    """

    thinking: Literal["strip", "keep", "mixed"] = "strip"
    """``strip``: the answer alone is learned; ``keep``: its reasoning too; ``mixed``: both ways."""
    thinking_share: float = Field(0.5, ge=0, le=1)
    """``mixed``: of the rows that hold reasoning, the share that is taught with it."""
    system: str | None = None
    """The system message; None takes the domain's own."""
    template: str = "chatml"
    """``chatml``, ``gemma``, ``llama3``, or a file of one's own that ends in ``.jinja``."""
    end: str | None = None
    """The token that ends a turn, for a template of one's own."""


class NanoConfig(_Section):
    """Shape of the embedded base: a Qwen3-architecture model trained from scratch."""

    hidden_size: int = Field(256, gt=0, multiple_of=32)
    layers: int = Field(4, gt=0)
    heads: int = Field(4, gt=0)
    kv_heads: int = Field(2, gt=0)
    head_dim: int = Field(64, gt=0, multiple_of=2)
    intermediate_size: int = Field(512, gt=0, multiple_of=32)

    @model_validator(mode="after")
    def _heads_share(self) -> NanoConfig:
        if self.heads % self.kv_heads:
            raise ValueError(
                f"base.nano.kv_heads: {self.kv_heads} cannot be shared by base.nano.heads: {self.heads}; "
                "choose a divisor of it"
            )
        return self


class BaseConfig(_Section):
    """The model that is tuned: from the Hugging Face hub, ModelScope, a local folder, or ``nano`` (from scratch)."""

    source: Literal["hub", "modelscope", "local", "nano"]
    """``nano``: a small model trained from scratch; the others name a pretrained one."""
    name: str | None = None
    """Repository id (``Qwen/Qwen3-0.6B``) or folder; not used by ``nano``."""
    revision: str | None = None
    nano: NanoConfig = NanoConfig()

    @model_validator(mode="after")
    def _named(self) -> BaseConfig:
        if self.source != "nano" and not self.name:
            raise ValueError(f"base.source: {self.source} needs base.name (a repository id or a folder)")
        return self


class LoraConfig(_Section):
    """Low-rank adapter settings, with the names PEFT uses."""

    r: int = Field(16, gt=0)
    """The rank: a higher one learns more and needs more memory."""
    alpha: int = Field(16, gt=0)
    """The scale of the adapter: as ``r``, or twice that."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter that is left out at random while it is trained."""
    rslora: bool = False
    """Scale by alpha / sqrt(r) instead of alpha / r (rank-stabilised LoRA, arXiv 2312.03732)."""
    target_modules: list[str] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], min_length=1
    )


class TrainConfig(_Section):
    """How the model is fitted. ``lora: null`` trains all weights."""

    backend: Name = "peft"
    """``peft``, ``unsloth``, an installed package's own, or ``auto``: Unsloth where it is installed, else ``peft``."""
    quantize: Literal["4bit"] | None = None
    """``4bit``: the frozen base is held in 4 bits while its adapter is trained (QLoRA); needs bitsandbytes."""
    lora: LoraConfig | None = LoraConfig()
    """A small adapter beside the frozen base; null trains all weights."""
    epochs: float = Field(3, gt=0)
    """How often every row is seen: too few learn too little, too many learn by heart."""
    max_steps: int | None = Field(None, gt=0)
    """Stop after this many optimizer steps, whatever ``epochs`` says."""
    batch_size: int = Field(16, gt=0)
    """Rows in one pass through the model; fewer need less memory."""
    gradient_accumulation: int = Field(1, gt=0)
    """Passes before the weights change: times ``batch_size``, the batch that counts."""
    learning_rate: float = Field(2e-4, gt=0)
    """How far one step goes. A training that diverges wants a tenth of it."""
    min_learning_rate_ratio: float = Field(0.0, ge=0, lt=1)
    """The cosine ends at this share of ``learning_rate``."""
    warmup_steps: int = Field(10, ge=0)
    """Steps in which the learning rate rises from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """Pulls weights towards 0, against learning by heart."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Longer gradients are shortened to this."""
    adam_beta2: float = Field(0.999, gt=0, lt=1)
    optimizer: Literal["adamw_torch", "adamw_8bit", "muon"] = "adamw_torch"
    """``muon``: orthogonalised steps for the layers' matrices; learns from fewer rows where all weights are trained."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 on a GPU that has it, else fp32 (on a CPU with AMX, matrices are rounded to bf16 as they are
    multiplied)."""
    auto_batch: bool = False
    """Find the largest batch that fits; batch_size times gradient_accumulation stays."""
    gradient_checkpointing: bool = False
    """Less memory for more time."""
    max_length: int = Field(1024, gt=0)
    """Longest row in tokens, prompt and answer together; longer rows are refused, never cut."""
    seed: int = Field(3407, ge=0, lt=2**32)
    logging_steps: int = Field(10, gt=0)
    """Every so many steps the loss is noted."""
    checkpoint_steps: int = Field(200, gt=0)
    """Every so many steps a checkpoint is written."""
    evaluate_every: int | None = Field(None, gt=0)
    """Every so many steps the validation rows are tried; None: with every checkpoint."""
    keep_checkpoints: bool = False
    """Keep the last checkpoints when the training is finished; else they are removed."""
    best_by: Literal["validation_loss", "exact_match"] | None = None
    """Export the checkpoint that is best by this; None: the last one."""
    patience: int | None = Field(None, gt=0)
    """Stop after this many validations without a better one."""
    report_to: list[Literal["tensorboard", "wandb", "swanlab", "mlflow"]] = []
    """Experiment trackers; each must be installed and set up in its own way."""

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        if self.quantize and self.lora is None:
            raise ValueError("train.quantize needs train.lora: 4-bit weights cannot be trained themselves")
        if self.optimizer == "muon" and self.lora is not None:
            raise ValueError("train.optimizer: muon trains all weights: set train.lora: null")
        if self.best_by and self.evaluate_every not in (None, self.checkpoint_steps):
            raise ValueError(
                "train.best_by chooses among checkpoints, so each validation needs one: leave train.evaluate_every "
                "out, and set train.checkpoint_steps"
            )
        if self.patience and not self.best_by:
            raise ValueError("train.patience needs train.best_by: validation_loss or exact_match")
        return self


class ExportConfig(_Section):
    """What is written for serving, and with which generation settings."""

    name: Name = ""
    """The model's name for those who serve and ask it. Left out, it is the run's `name`; ``--set name=trial`` renames
    it with the run, so that a trial never takes the name of a model that is in use."""
    quantizations: list[Quantization] = Field(default=["f16", "q4_K_M"], min_length=1)
    """In which precisions GGUF files are written; the last one is served."""
    temperature: float = Field(0.0, ge=0)
    """0 gives the same answer every time."""
    num_ctx: int = Field(1024, gt=0)
    """Tokens of prompt and answer together, where the model is served."""
    num_predict: int = Field(256, gt=0)
    """Tokens of an answer at most."""
    parity_states: int = Field(100, gt=0)
    """So many states are answered by the merged model and by every file, to prove that they answer alike."""
    keep_merged: bool = True
    """Keep the merged Hugging Face folder; the GGUF files need it no more."""
    author: str | None = None
    version: str | None = None
    """None: the day on which the model was trained."""
    base_license: str | None = None
    """None: what the base's model card says."""
    data_license: str | None = None
    """None: what the data set's card says, on the hub or in a ``README.md`` that names the file."""

    @model_validator(mode="after")
    def _leave_room_for_a_prompt(self) -> ExportConfig:
        if self.num_predict >= self.num_ctx:
            sizes = f"num_predict is {self.num_predict}, num_ctx {self.num_ctx}"
            raise ValueError(f"export.num_predict must be below export.num_ctx, or no prompt has room: {sizes}")
        return self

    def gguf(self, quantization: str) -> str:
        """The name of one quantization's file, as Ollama's users know it: ``goDrive-q4_K_M.gguf``."""
        return f"{self.name}-{quantization}.gguf"

    @property
    def served(self) -> str:
        """The name of the file that is served: the last quantization's."""
        return self.gguf(self.quantizations[-1])


class EvaluateConfig(_Section):
    """How much is scored; less for a slow machine."""

    states: int = Field(5000, ge=0)
    """States drawn evenly from all the domain has, where they can be counted."""
    rows: int | None = Field(None, gt=0)
    """Held-out rows that are scored, spread evenly over all of them; None scores every one."""


class RefineConfig(_Section):
    """How a finished run is taught what it gets wrong: `drivecoach refine RUN`."""

    rounds: int = Field(4, gt=0)
    """At most so many, each a training and a verification; fewer where nothing is wrong any more."""
    pairs: int = Field(4000, gt=0)
    """Drawn for all rounds together, beside those that the run was trained on."""
    epochs: float = Field(4, gt=0)
    """Of one round, over all pairs that there are then."""
    learning_rate: float | None = Field(None, gt=0)
    """Where the first round begins, each later one lower; None: half of the run's own."""


class ParentConfig(_Section):
    """The finished run whose weights a training begins with; ``drivecoach tune --resume`` writes it."""

    run: str
    """Its folder."""
    fingerprint: str
    """Which of its trainings is meant: other weights under the same name are refused."""


class Recipe(_Section):
    """One tuning run, whole."""

    name: Name
    """What the run is called; its folder is ``runs/NAME``."""
    domain: Reference = "driving"
    """A name, ``schema.py:domain``, or ``{input: state.schema.json, answer: contract.schema.json}``."""
    data: DataConfig
    chat: ChatConfig = ChatConfig()
    base: BaseConfig
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    refine: RefineConfig = RefineConfig()
    parent: ParentConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _export_under_its_name(cls, raw: Any) -> Any:
        """Fill in ``export.name``, unless it is given; a run's name that is not valid is refused as ``name`` alone."""
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            return raw
        export = raw.get("export", {})
        if isinstance(export, ExportConfig):
            export = export.model_dump()
        if not isinstance(export, dict) or export.get("name"):
            return raw
        return {**raw, "export": {**export, "name": name}}

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.train.best_by and not self.data.validation:
            raise ValueError("train.best_by needs held-out rows: set data.validation")
        if self.base.source == "nano" and self.chat.template != "chatml":
            raise ValueError("base.source: nano speaks ChatML: set chat.template: chatml")
        if self.base.source == "nano" and (self.train.quantize or self.train.backend not in ("auto", "peft")):
            raise ValueError(
                f"base.source: nano has a backend of its own: no train.quantize, no train.backend: {self.train.backend}"
            )
        nano = self.base.nano
        if self.base.source == "nano" and "q8_0" in self.export.quantizations and nano.heads * nano.head_dim % 32:
            raise ValueError(
                f"q8_0 of export.quantizations needs base.nano.heads * base.nano.head_dim "
                f"({nano.heads} * {nano.head_dim}) to be a multiple of 32"
            )
        return self


def check_model_name(name: str, *, tag: bool = False) -> None:
    """Raise ModelError unless ``name`` is a `Name`; with ``tag`` it may be followed by a colon and another one."""
    if not re.fullmatch(_NAME + (f"(:{_NAME})?" if tag else ""), name):
        raise ModelError(
            f"{name[:80]!r} is no name for a model",
            hint="use letters, digits and . _ - (64 at most): --name goDrive",
        )
