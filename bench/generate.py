"""`python -m bench.generate RUN --prompt "…"`: continue a prompt with a model that a run has kept."""

import argparse
import sys
from pathlib import Path

from omegaconf import OmegaConf

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.core.paths import weights_path
from bench.core.record import Record
from bench.core.trust import add_option, check_targets
from bench.evaluation.calibration import Calibration
from bench.evaluation.evaluator import evaluator_of
from bench.evaluation.generation import read_prompt
from bench.training.build import build_cell
from bench.training.train import load_weights


def continuation(path: Path, prompt: str, *, words: int, greedy: bool, seed: int) -> str:
    """Write words after the prompt by the model of the record at `path`.

    Raises:
        SettingError: no such record, a run that failed or kept no weights, or a prompt without a known word.
    """
    if not path.is_file():
        raise SettingError("RUN", f"{path} is not there; give the .json of a finished cell")
    record = Record.read(path)
    if record.status != "ok":
        raise SettingError("RUN", f"{path} is a cell that ended as {record.status}; give one that is ok")
    # the record may have been moved: weights are read from the folder of the record
    config = {**record.config, "results_dir": str(path.parent.parent), "experiment_name": path.parent.name}
    built = build_cell(OmegaConf.create(config))
    if built.evaluation_data.vocabulary.corpus.digest != record.corpus_sha256:
        raise SettingError("RUN", "the text has changed since this cell was run; run it again")
    if built.datamodule is not None:
        weights = weights_path(config)
        if load_weights(built.model, weights) is None:
            problem = f"{weights} is missing or damaged (published records have no weights); run the cell again"
            raise SettingError("RUN", problem)
    calibration = None
    if not greedy and record.calibration_scale is not None:
        calibration = Calibration(record.calibration_scale, record.calibration_prior)
    vocabulary = built.evaluation_data.vocabulary
    start = read_prompt(vocabulary.corpus, prompt, lowercase=record.config["corpus"]["lowercase"])
    options = {"greedy": greedy, "calibration": calibration, "seed": seed}
    return " ".join(evaluator_of(built.model).generate(vocabulary, start, words, **options))


def main() -> None:
    """Print the prompt and its continuation."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.generate", description=__doc__.split(": ", 1)[1])
    parser.add_argument("run", type=Path, metavar="RUN", help="the .json of a finished cell")
    parser.add_argument("--prompt", required=True, help="words to continue; words unknown to the corpus are dropped")
    parser.add_argument("--words", type=int, default=20, help="how many to add (default 20)")
    parser.add_argument("--greedy", action="store_true", help="the likeliest (nearest) word each time; else drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    add_option(parser)
    given = parser.parse_args()
    try:
        if given.run.is_file():
            check_targets(Record.read(given.run).config, given.trust)
        text = continuation(given.run, given.prompt, words=given.words, greedy=given.greedy, seed=given.seed)
    except SettingError as error:
        sys.exit(str(error))
    print(f"{given.prompt} | {text}")


if __name__ == "__main__":
    main()
