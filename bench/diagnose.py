"""`python -m bench.diagnose RUN…`: measure why a regressor loses and how good generated text is, from kept weights.

Nothing is trained again. The figures are written into the records: `diagnosis` of a regressor, `generation_quality` of
every system. A record that has its figures is skipped.
"""

import argparse
import dataclasses
import functools
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.core.environment import cache_of, silence_libraries, substitute_unprintable
from bench.core.errors import BAD_INPUT, Diverged, SettingError, one_line
from bench.core.provenance import git_commit
from bench.core.record import Record, ledger_kind
from bench.core.refusals import REFUSED, explain_refusal
from bench.core.trust import add_option, finished_record
from bench.core.value_check import find_target
from bench.evaluation.causal_judge import CausalJudge
from bench.evaluation.diagnosis import diagnose
from bench.evaluation.diagnosis.inputs import Case
from bench.evaluation.evaluator import evaluator_of
from bench.evaluation.generation_frechet import sentence_encoder
from bench.evaluation.generation_quality import generation_quality
from bench.heads._regressor import Regressor
from bench.models.stored_predictions import StoredPredictions
from bench.targets.tables import Targets
from bench.training.build import Built, make_targets
from bench.training.kept_model import kept_calibration, kept_model
from bench.training.kept_weights import rests_on
from bench.training.reference import reference_of


def measure(path: Path, arguments: argparse.Namespace) -> str:
    """Measure what the record at `path` lacks, and write the record; return what was done.

    Raises:
        SettingError: no such record, or no weights of the cell or of its reference.
    """
    if path.is_file() and (status := Record.read(path).status) != "ok":
        return f"skipped: the cell ended as {status}"
    record = finished_record("RUN", path, arguments.trust)
    is_regressor = is_diagnosed(record.config["system"])
    lacks_diagnosis = is_regressor and (arguments.force or record.diagnosis is None)
    if record.config["system"].get("kind") == "regressor" and not is_regressor:
        problem = f"{path.name} cannot be diagnosed: its head is not a subclass of bench.heads._regressor.Regressor"
        print(problem, file=sys.stderr)
    judge = arguments.judge and known_judge(arguments.judge)
    quality = record.generation_quality
    lacks_quality = arguments.force or quality is None or bool(judge and quality.get("causal_judge") != judge.name)
    if not lacks_diagnosis and not lacks_quality:
        return "skipped: the record has these figures; --force measures again"
    built = kept_model(path, record)
    begin, measured = time.perf_counter(), []
    problem = None  # raised at the end: a missing encoder must not prevent the diagnosis
    if lacks_quality and built.model.writes:
        try:
            figures = written_quality(record, built, judge)
        except SettingError as error:
            figures, problem = None, error
        if figures is not None:
            record = dataclasses.replace(record, generation_quality=figures)
            measured.append("generation quality")
            record.write(path.with_name(path.name.removesuffix(".json")))
    if lacks_diagnosis:
        name, model, calibration = reference_of(path, record, built, given=arguments.reference, trusted=arguments.trust)
        case = Case(built.model, targets_of(record, built), model, calibration, built.evaluation_data)
        record = dataclasses.replace(
            record, diagnosis={"reference": name, "git_commit": git_commit(), **diagnose(case)}
        )
        measured.append("diagnosis")
        record.write(path.with_name(path.name.removesuffix(".json")))
    if problem is not None:
        raise problem
    nothing = "no generation quality: the test text is too short, or the model cannot generate text"
    outcome = " and ".join(measured) or nothing
    return f"{outcome} ({time.perf_counter() - begin:.0f} s)"


def is_diagnosed(system: dict[str, Any]) -> bool:
    """True for a head that is a regressor of this project, and for a system of another program's predictions."""
    if "head" not in system:
        return find_target("system.model._target_", system["model"]["_target_"]) is StoredPredictions
    head = find_target("system.head._target_", system["head"]["_target_"])
    return isinstance(head, type) and issubclass(head, Regressor)


def targets_of(record: Record, built: Built) -> Targets:
    """Return the targets of a regressor; kept weights hold the rows, but not the vectors of occurrences.

    Raises:
        SettingError: the encoder has changed since the run.
    """
    if built.targets.level == "type":
        return built.targets
    settings = json.dumps(record.config["targets"])
    targets = make_targets(settings, built.evaluation_data.vocabulary, cache_of(record.config))
    if not rests_on(record.weights_sha256, targets.weights_sha256):
        problem = "the encoder of its targets has changed since the run; run the cell again with force=true"
        raise SettingError("RUN", problem)
    return targets


@functools.lru_cache(maxsize=1)
def known_judge(name: str) -> CausalJudge:
    """Return the causal LM that judges the texts of all records."""
    return CausalJudge(name)


def written_quality(record: Record, built: Built, judge: CausalJudge | None) -> dict[str, Any] | None:
    """Return the quality of the text that a model writes; None if the test text is too short."""
    evaluator, calibration = evaluator_of(built.model), kept_calibration(record)
    encoder = sentence_encoder(cache_of(record.config))
    return generation_quality(evaluator, built.evaluation_data, calibration, encoder, record.seed, judge)


def main() -> None:
    """Print a line per record; exit with 2 if one could not be measured."""
    substitute_unprintable()
    silence_libraries()
    parser = argparse.ArgumentParser(prog="python -m bench.diagnose", description=__doc__.split(": ", 1)[1])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the .json of finished cells")
    parser.add_argument(
        "--reference", type=Path, metavar="RUN", help="softmax cell to compare with (default: found beside each RUN)"
    )
    parser.add_argument(
        "--judge", metavar="MODEL", help="causal LM, by folder or hub name, as second judge of the generated texts"
    )
    parser.add_argument("--force", action="store_true", help="measure again what a record has")
    add_option(parser)
    arguments = parser.parse_args()
    failed = False
    for path in arguments.runs:
        if ledger_kind(path) is not None:
            continue
        try:
            print(f"{path.name.removesuffix('.json')}: {measure(path, arguments)}", flush=True)
        except (*REFUSED, Diverged) as error:
            failed = True
            line = f"{path}: {one_line(error)}" if isinstance(error, Diverged) else explain_refusal(error, [])
            print(line, file=sys.stderr)
    sys.exit(BAD_INPUT if failed else 0)


if __name__ == "__main__":
    main()
