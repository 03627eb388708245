"""`python -m bench.generate RUN --prompt "…"`: continue prompts with a model that a run has kept."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pydantic

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.core.refusals import exiting_on_refusal
from bench.core.settings import Count, Seed
from bench.core.trust import add_option, finished_record
from bench.core.value_check import check_value

BOUNDS = {  # option -> its type
    "words": Annotated[int, pydantic.Field(ge=1, le=10_000)],
    "samples": Annotated[int, pydantic.Field(ge=1, le=10_000)],
    "seed": Seed,
    "temperature": Annotated[float, pydantic.Field(ge=1e-3, le=1e3)],
    "top_k": Count | None,
    "top_p": Annotated[float, pydantic.Field(gt=0, le=1)] | None,
}


def continuations(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield each prompt with each of its continuations; say on stderr which words of a prompt are unknown.

    Raises:
        SettingError: an option out of its bounds, a run without weights, or a prompt without a known word.
    """
    check_options(arguments)
    record = finished_record("RUN", arguments.run, arguments.trust)

    # imported after the checks: a refusal does not wait for torch
    from bench.evaluation.evaluator import evaluator_of
    from bench.evaluation.generation import read_prompt
    from bench.evaluation.sampling import Sampling
    from bench.training.kept_model import kept_calibration, kept_model

    built = kept_model(arguments.run, record)
    evaluator, vocabulary = evaluator_of(built.model), built.evaluation_data.vocabulary
    sampling = Sampling(temperature=arguments.temperature, top_k=arguments.top_k, top_p=arguments.top_p)
    calibration = kept_calibration(record)
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
        SettingError: a number out of its bounds, or --greedy together with an option of sampling.
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
