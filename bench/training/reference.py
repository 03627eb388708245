"""References that a regressor is diagnosed against: models whose distribution stands for p(word | context)."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import SettingError
from bench.core.paths import weights_beside
from bench.core.record import Record, ledger_kind
from bench.core.trust import finished_record
from bench.evaluation.calibration import Calibration
from bench.models.language_model import ClosedVocabularyModel
from bench.models.truth_model import TruthModel
from bench.targets.encoder import EncoderSettings
from bench.training.build import Built
from bench.training.kept_model import kept_model

# heads whose distribution can stand for p(word | context), best first
REFERENCES = {
    "softmax": "bench.heads.softmax.SoftmaxHead",
    "sampled_softmax": "bench.heads.sampled_softmax.SampledSoftmaxHead",
}

ALIKE = ("vocabulary", "backbone", "inputs", "budget", "batch", "evaluation", "seed")  # shared with the reference

TRUTH = Calibration(1.0, 0.0)  # the truth needs no calibration


def reference_of(
    path: Path, record: Record, built: Built, *, given: Path | None, trusted: list[str]
) -> tuple[str, ClosedVocabularyModel, Calibration | None]:
    """Return name, model and known calibration of the reference of the regressor whose record is at `path`.

    Args:
        given: record of the reference; if None, it is the truth where it is known, else a softmax cell beside `path`.
        trusted: classes of other packages that the user trusts.

    Raises:
        SettingError: there is no reference, or the one that is given reads other words.
    """
    vocabulary = built.evaluation_data.vocabulary
    if given is None and vocabulary.corpus.language is not None:
        return "truth", TruthModel(corpus=vocabulary.corpus, vocabulary=vocabulary), TRUTH
    chosen = given or next(candidates(path, record), None)
    if chosen is None:
        problem = f"{path.name} has no cell of {' or '.join(REFERENCES)} beside it with its settings and kept weights"
        raise SettingError("--reference", f"{problem}; run system=softmax with its settings, or give a record")
    other = finished_record("--reference", chosen, trusted)
    reference = kept_model(chosen, other)
    same = reference.evaluation_data.vocabulary
    if other.corpus_sha256 != record.corpus_sha256 or same.words != vocabulary.words or not same_test(built, reference):
        raise SettingError("--reference", f"{chosen} has another text or V than {path}; give a cell of its text and V")
    if not isinstance(reference.model, ClosedVocabularyModel):
        raise SettingError("--reference", f"{chosen} has no distribution over a closed vocabulary; give a softmax")
    return chosen.name.removesuffix(".json"), reference.model, None


def same_test(one: Built, other: Built) -> bool:
    """True if both cells are evaluated on the same numbers of validation and test words."""
    texts = ((len(each.evaluation_data.validation), len(each.evaluation_data.test)) for each in (one, other))
    return len(set(texts)) == 1


def candidates(path: Path, record: Record) -> Iterator[Path]:
    """Yield records beside `path` that can be the reference and have kept weights, best first.

    Records of one system may differ in their learning rate or their head; the best is that with the fewest nats on the
    validation text.
    """
    beside = [each for each in sorted(path.parent.glob("*.json")) if ledger_kind(each) is None]
    records = [(each, Record.read(each)) for each in beside]
    records = [(each, other) for each, other in records if other.status == "ok" and other.validation_nats is not None]
    records.sort(key=lambda each: each[1].validation_nats)
    for head, (other_path, other) in itertools.product(REFERENCES.values(), records):
        shares = inputs_of(other.config) == inputs_of(record.config) and all(
            other.config.get(key) == record.config.get(key) for key in ALIKE
        )
        its_head = other.config["system"].get("head", {}).get("_target_")  # a name may say which inputs the cell reads
        fits = (its_head, other.corpus_sha256) == (head, record.corpus_sha256)
        if shares and fits and weights_beside(other_path, other.config).is_file():
            yield other_path


def inputs_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the encoder whose vectors a cell reads as inputs; empty if it reads word ids."""
    targets = config["targets"] if config["inputs"] == "contextual" else {}
    return {name: targets.get(name) for name in EncoderSettings.__annotations__ if targets}
