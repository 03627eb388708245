"""Target table from a trained softmax: the output rows that classification has learnt from the same text.

V words, D columns: the width of the softmax's hidden states.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from bench.core.errors import SettingError
from bench.core.paths import weights_beside
from bench.core.record import Record, targets_sha256
from bench.core.settings import Place
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets, TypeLevel

ROWS = "head.words.weight"  # [V, D] in the weights of every softmax of this project, sampled or not


def softmax_rows(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    level: TypeLevel,
    path: Place | None,
    sha256: str | None,
    unit_length: bool,
) -> Targets:
    """Return the output rows of the softmax that a finished cell has kept: a control for the other tables.

    The biases of that softmax are left out: targets have none.

    Args:
        cache_dir: not used; all targets are built with this argument.
        level: `type`; a row belongs to a word.
        path: the .json of a finished cell of `softmax`, `sampled_softmax` or `nce` whose weights were kept, with the
            text and the vocabulary of this cell.
        sha256: expected hash of that file; None expects nothing.
        unit_length: scale the rows to length 1.

    Raises:
        SettingError: no such cell, no kept weights, another record, text, vocabulary or head.
    """
    if path is None or not Path(path).expanduser().is_file():
        problem = f"{path} is not a file; give the .json of a finished softmax cell, as results/single/softmax-….json"
        raise SettingError("targets.path", problem)
    if sha256 is not None and targets_sha256(path) != sha256:
        problem = f"{path} is no longer the record of this cell's rows; restore it, or run a new cell"
        raise SettingError("targets.path", problem)
    file = Path(path).expanduser()
    record = Record.read(file)
    if (record.corpus_sha256, record.vocabulary_size) != (vocabulary.corpus.digest, len(vocabulary)):
        problem = f"{path} has another text or vocabulary (V = {record.vocabulary_size} words of {record.corpus})"
        raise SettingError("targets.path", f"{problem}; give a softmax of the same corpus and vocabulary settings")
    weights = weights_beside(file, record.config)
    try:
        with safe_open(weights, "pt") as kept:
            rows = kept.get_tensor(ROWS) if ROWS in set(kept.keys()) else None
    except (SafetensorError, FileNotFoundError) as error:
        problem = f"{weights} is missing or damaged (published records have no weights); run the cell again"
        raise SettingError("targets.path", problem) from error
    if rows is None:
        problem = f"{path} is a cell of {record.system}, which has no softmax rows; give one of softmax or nce"
        raise SettingError("targets.path", problem)
    return Targets(name, level, rows.float(), normalise=unit_length)
