"""Models of finished cells, built from their records and the weights that their runs kept."""

import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.core.environment import cache_of
from bench.core.errors import SettingError
from bench.core.paths import weights_beside
from bench.core.record import Record
from bench.core.source_hash import made_by_other_code
from bench.core.value_check import find_target
from bench.evaluation.calibration import Calibration
from bench.heads._regressor import Regressor
from bench.training.build import Built, build_cell
from bench.training.kept_weights import load_weights, rests_on


def kept_model(path: Path, record: Record) -> Built:
    """Build the cell of the record at `path`, and load the weights that its run kept.

    Raises:
        SettingError: the run kept no weights, or its text or its pre-trained model has changed.
    """
    config, weights = record.config | {"cache_dir": cache_of(record.config)}, weights_beside(path, record.config)
    built = build_cell(OmegaConf.create(config), kept_table(config, weights))
    if built.evaluation_data.vocabulary.corpus.digest != record.corpus_sha256:
        raise SettingError("RUN", "the text of its cell has changed since the run; run the cell again")
    if built.datamodule is not None:
        if not rests_on(record.weights_sha256, built.model.weights_sha256):
            raise SettingError(
                "RUN", "the pre-trained model of its cell has changed since the run; run the cell again with force=true"
            )
        training = load_weights(built.model, weights)
        if training is None:
            problem = f"{weights} is missing or damaged (published records have no weights); run the cell again"
            raise SettingError("RUN", problem)
        if made_by_other_code(training["source_sha256"], config):
            print(f"{weights}: made by other code; the text may differ from that of the run", file=sys.stderr)
    return built


def kept_table(config: dict[str, Any], weights: Path) -> Tensor | None:
    """Return the target table that the kept weights of a regressor hold [V, D]; None without such weights."""
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


def kept_calibration(record: Record) -> Calibration | None:
    """Return the calibration that was fitted in the run of a record; None for a model that needs none."""
    if record.calibration_scale is None:
        return None
    return Calibration(record.calibration_scale, record.calibration_prior)
