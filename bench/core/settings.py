"""Types and bounds of the configuration's plain keys, as nested models.

bench/core/config_check.py checks a configuration against them. The options of an object that Hydra builds follow the
annotations of the class that its `_target_` names, so that a head, a corpus or a backbone carries its own.
"""

from typing import Annotated, Any, ClassVar, Literal

import pydantic


def fits_a_file_name(text: str) -> str:
    """Return the text if two such texts and a few numbers fit a file name of 255 bytes.

    Raises:
        ValueError: it is longer than 96 bytes.
    """
    if len(text.encode()) > 96:
        raise ValueError("at most 96 bytes of UTF-8")
    return text


Count = Annotated[int, pydantic.Field(ge=1, le=2**31 - 1)]

Words = Annotated[int, pydantic.Field(ge=1, le=2**53)]  # of a training text

Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]

Width = Annotated[int, pydantic.Field(ge=1, le=2**13)]  # of a layer: a square matrix of this width still fits memory

Depth = Annotated[int, pydantic.Field(ge=1, le=64)]

Rows = Annotated[int, pydantic.Field(ge=1, le=2**16)]  # held in memory at once

Seconds = Annotated[float, pydantic.Field(ge=0, le=1e9)]

Dropout = Annotated[float, pydantic.Field(ge=0, lt=1)]

Factor = Annotated[float, pydantic.Field(ge=0, le=100)]

Name = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(fits_a_file_name)]

Place = Annotated[str, pydantic.Field(min_length=1, max_length=4096)]

CHECKED = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


class Group(pydantic.BaseModel):
    """A group of settings. A field without a default is required; a key that is no field is refused."""

    model_config = CHECKED | pydantic.ConfigDict(extra="forbid")


class Built(Group):
    """An object that Hydra builds from its `_target_`. Fields take precedence over the annotations of the target."""

    filled_in: ClassVar[tuple[str, ...]] = ()  # options that the harness supplies, and that no configuration may set
    passed_on_to: ClassVar[str | None] = None  # class that receives every option which the target does not name


class Vocabulary(Group):
    size: Annotated[int, pydantic.Field(ge=2, le=2**31 - 1)] | None


class SizedVocabulary(Vocabulary):
    """Vocabulary of a job that has no text to count."""

    size: Annotated[int, pydantic.Field(ge=2, le=2**31 - 1)]


class Batch(Group):
    streams: Rows
    steps: Rows


class Optimizer(Group):
    lr: Factor | None
    weight_decay: Factor
    gradient_clip: Annotated[float, pydantic.Field(gt=0)] | None


class Budget(Group):
    words: Words | None
    seconds: Annotated[float, pydantic.Field(ge=1e-9, le=1e9)] | None


class Checkpoint(Group):
    seconds: Seconds


class Evaluation(Group):
    validation_words: Annotated[int, pydantic.Field(ge=100)] | None
    test_words: Annotated[int, pydantic.Field(ge=10)] | None
    calibration_words: Annotated[int, pydantic.Field(ge=10, le=2**31 - 1)]
    search_words: Count


class Generation(Group):
    words: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    prompts: Annotated[list[Annotated[str, pydantic.Field(max_length=10_000)]], pydantic.Field(max_length=100)] | None


class Head(Built):
    filled_in = ("hidden_size", "vocabulary")


class Model(Built):
    filled_in = ("corpus", "vocabulary")


class System(Group):
    name: Name
    lr: Factor | None = None
    pretrained: Place | None = None
    open_vocabulary: bool = False
    kind: Literal["classifier", "regressor", "floor", "limit"] | None = None  # how tables and figures show the system
    head: Head | None = None
    model: Model | None = None


class Source(Built):
    """Function that reads the corpus."""

    filled_in = ("cache_dir",)


class Corpus(Group):
    name: Name
    lowercase: bool
    source: Source
    path: Place | int | float | None = None  # a folder called 2024 is parsed as a number
    content_sha256: str | None = None
    train_words: Words | None = None
    types: int = 0  # bench.data.sources.synthetic checks the bounds of this and the five that follow
    words: int = 0
    classes: int = 0
    seed: int = 0
    document_words: int = 0
    concentration: float = 0.0


class Trunk(Built):
    filled_in = ("vocabulary_size", "input_width")


class Backbone(Group):
    name: Name
    trunk: Trunk


class Targets(Built):
    filled_in = ("vocabulary", "cache_dir")
    name: Name


class Timeout(Built):
    minutes: Annotated[float, pydantic.Field(gt=0, le=1e6)] = 10.0


class Strategy(Built):
    find_unused_parameters: bool = False
    timeout: Timeout | None = None


class Trainer(Built):
    filled_in = (  # the budget ends training, and counts every step
        "logger", "callbacks", "max_epochs", "max_steps", "max_time", "min_epochs", "min_steps", "limit_train_batches",
        "overfit_batches", "fast_dev_run", "accumulate_grad_batches",
    )  # fmt: skip
    passed_on_to = "pytorch_lightning.Trainer"
    accelerator: Literal["auto", "cpu", "gpu", "cuda"]  # Apple's GPU computes no float64, which evaluation needs
    devices: Literal["auto"] | Depth | Annotated[list[int], pydantic.Field(min_length=1, max_length=64)] = 1
    strategy: Strategy | None = None
    # float16 scales gradients, which clipping and updates of single rows do not undo
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


class Logger(Built):
    filled_in = ("folder", "cell", "config")


class Settings(Group):
    """The whole configuration. A job with keys of its own subclasses this model and adds them."""

    seed: Seed
    inputs: Literal["learned", "contextual"]
    vocabulary: Vocabulary
    batch: Batch
    optimizer: Optimizer
    budget: Budget
    job: str  # the class of a bench.core.job.Job
    checkpoint: Checkpoint
    evaluation: Evaluation
    generation: Generation
    competitors: Place | Annotated[list[Name], pydantic.Field(min_length=1)]  # choices of the group `system`
    experiment_name: Name
    results_dir: Place
    cache_dir: Place
    force: bool
    stale: Literal["keep", "rerun"] = "keep"  # results of other code; configurations of older records lack the key
    system: System
    corpus: Corpus
    backbone: Backbone
    targets: Targets
    trainer: Trainer
    logger: Logger
    trial: Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)] = 0


def quoted(value: Any) -> str:
    """Return a value as a message can show it, at most 120 characters long."""
    text = repr(value)
    return text if len(text) <= 120 else text[:119] + "…"
