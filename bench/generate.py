"""`python -m bench.generate RUN --prompt "…"`: continue prompts with a model that a run has kept."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from omegaconf import OmegaConf

from bench.core.environment import cache_of, substitute_unprintable
from bench.core.errors import SettingError
from bench.core.paths import weights_beside
from bench.core.record import Record
from bench.core.refusals import exiting_on_refusal
from bench.core.settings import Count, Seed
from bench.core.source_hash import made_by_other_code
from bench.core.trust import add_option, check_targets
from bench.core.value_check import check_value, find_target

if TYPE_CHECKING:  # torch and all that it takes is imported after the checks
    from torch import Tensor

    from bench.training.build import Built

BOUNDS = {  # option -> its type
    "words": Annotated[int, pydantic.Field(ge=1, le=10_000)],
    "samples": Annotated[int, pydantic.Field(ge=1, le=10_000)],
    "seed": Seed,
    "temperature": Annotated[float, pydantic.Field(ge=1e-3, le=1e3)],
    "top_k": Count | None,
    "top_p": Annotated[float, pydantic.Field(gt=0, le=1)] | None,
}


def checked_record(path: Path, trusted: list[str]) -> Record:
    """Read the record at `path`.

    Raises:
        SettingError: no such record, a run that failed, or code that is not trusted.
    """
    if not path.is_file():
        raise SettingError("RUN", f"{path} does not exist; give the .json of a finished cell")
    record = Record.read(path)
    check_targets(record.config, trusted)
    if record.status != "ok":
        raise SettingError("RUN", f"{path} is a cell that ended as {record.status}; give one that is ok")
    return record


def kept_model(path: Path, record: Record) -> "Built":
    """Build the cell of the record at `path`, and load the weights that its run kept.

    Raises:
        SettingError: the run kept no weights, or its text or its pre-trained model has changed.
    """
    from bench.training.build import build_cell
    from bench.training.kept_weights import load_weights, rests_on

    config, weights = record.config | {"cache_dir": cache_of(record.config)}, weights_beside(path, record.config)
    built = build_cell(OmegaConf.create(config), kept_table(config, weights))
    if built.evaluation_data.vocabulary.corpus.digest != record.corpus_sha256:
        raise SettingError("RUN", "the text has changed since this cell was run; run it again")
    if built.datamodule is not None:
        if not rests_on(record.weights_sha256, built.model.weights_sha256):
            raise SettingError(
                "RUN", "its pre-trained model has changed since this cell was run; run it with force=true"
            )
        training = load_weights(built.model, weights)
        if training is None:
            problem = f"{weights} is missing or damaged (published records have no weights); run the cell again"
            raise SettingError("RUN", problem)
        if made_by_other_code(training["source_sha256"], config):
            print(f"{weights}: made by other code; the text may differ from that of the run", file=sys.stderr)
    return built


def kept_table(config: dict[str, Any], weights: Path) -> "Tensor | None":
    """Return the target table that the kept weights of a regressor hold [V, D]; None without such weights."""
    from safetensors import SafetensorError, safe_open

    from bench.heads._regressor import Regressor

    head = config["system"].get("head")
    if head is None or not weights.is_file():
        return None
    if not issubclass(find_target("system.head._target_", head["_target_"]), Regressor):
        return None
    try:
        with safe_open(weights, "pt") as file:
            return file.get_tensor("head.table")
    except SafetensorError:  # damaged, which `load_weights` reports
        return None


def continuations(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield each prompt with each of its continuations; say on stderr which words of a prompt are unknown.

    Raises:
        SettingError: an option out of its bounds, a run without weights, or a prompt without a known word.
    """
    check_options(arguments)
    record = checked_record(arguments.run, arguments.trust)

    from bench.evaluation.calibration import Calibration
    from bench.evaluation.evaluator import evaluator_of
    from bench.evaluation.generation import read_prompt
    from bench.evaluation.sampling import Sampling

    built = kept_model(arguments.run, record)
    evaluator, vocabulary = evaluator_of(built.model), built.evaluation_data.vocabulary
    sampling = Sampling(temperature=arguments.temperature, top_k=arguments.top_k, top_p=arguments.top_p)
    calibration = None
    if not arguments.greedy and record.calibration_scale is not None:
        calibration = Calibration(record.calibration_scale, record.calibration_prior)
    starts = []
    for prompt in arguments.prompt:
        unknown: list[str] = []
        lowercase = record.config["corpus"]["lowercase"]
        starts.append(read_prompt(vocabulary.corpus, prompt, lowercase=lowercase, setting="--prompt", unknown=unknown))
        if unknown:
            print(f"{prompt!r}: words left out, as {record.corpus} lacks them: {', '.join(unknown)}", file=sys.stderr)
    for prompt, start in zip(arguments.prompt, starts, strict=True):
        for seed in range(arguments.seed, arguments.seed + arguments.samples):
            options = {"greedy": arguments.greedy, "calibration": calibration, "seed": seed, "sampling": sampling}
            yield prompt, " ".join(evaluator.generate(vocabulary, start, arguments.words, **options))


def check_options(arguments: argparse.Namespace) -> None:
    """Check the numbers of the command line.

    Raises:
        SettingError: a number out of its bounds, or an option of draws beside --greedy.
    """
    for name, kind in BOUNDS.items():
        check_value(f"--{name.replace('_', '-')}", getattr(arguments, name), kind)
    of_draws = (arguments.samples, arguments.temperature, arguments.top_k, arguments.top_p)
    if arguments.greedy and of_draws != (1, 1.0, None, None):
        problem = "the text is always the same; leave out --samples, --temperature, --top-k and --top-p, or --greedy"
        raise SettingError("--greedy", problem)


def main() -> None:
    """Print a line for each continuation: the prompt, a bar, the text."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.generate", description=__doc__.split(": ", 1)[1])
    parser.add_argument("run", type=Path, metavar="RUN", help="the .json of a finished cell")
    parser.add_argument("--prompt", action="append", required=True, help="text to continue; may be repeated")
    parser.add_argument("--words", type=int, default=20, help="number of words to add (default 20)")
    parser.add_argument("--samples", type=int, default=1, help="continuations of each prompt (default 1)")
    parser.add_argument("--greedy", action="store_true", help="take the likeliest (nearest) word; default: draw words")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1: likelier words (default 1)")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest words")
    parser.add_argument(
        "--top-p", type=float, metavar="P", help="draw among the fewest words that together have probability P"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample (default 0); each next adds 1")
    add_option(parser)
    arguments = parser.parse_args()
    with exiting_on_refusal():
        for prompt, text in continuations(arguments):
            print(f"{prompt} | {text}")


if __name__ == "__main__":
    main()
