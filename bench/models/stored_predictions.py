"""Vectors that another program has predicted for a text, scored as a system of this project.

D columns, N words of a split, V vocabulary size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.core.errors import SettingError
from bench.core.files import file_sha256
from bench.core.settings import Place, quoted
from bench.data.collect import SPLITS
from bench.data.corpus import Corpus, Text
from bench.data.vocabulary import Vocabulary
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
from bench.models.language_model import ClosedVocabularyModel
from bench.targets.tables import Targets

HEADS = {"cosine": CosineHead, "squared_error": MSEHead}  # by the distance that ranks the words

PATH = "system.model.path"


class StoredPredictions(ClosedVocabularyModel):
    """Predicted vectors of a .safetensors file; words are ranked by the distance of their table row to the prediction.

    The tensors of the file, of any floating type, for the text that `python -m bench.export` writes:

    - `validation` and `test` [N, D]: row t is the prediction of word t from the words before it in its document;
    - `table` [V, D]: the vector of each word, in the order of `vocabulary.txt`;
    - `train` [N, D]: predictions of the training text; optional, the read-outs of a diagnosis are fitted on them.

    Metadata `corpus_sha256`, if the file has it, must be that of the exported text.

    Args:
        corpus: corpus whose words were predicted.
        vocabulary: the V words that are ranked.
        path: the file.
        sha256: expected hash of its content; None expects nothing.
        distance: `cosine`, or `squared_error`; a head of this distance ranks, calibrates and diagnoses.

    Raises:
        SettingError: no such file, another content, tensors that are missing or of another shape, or another text.
    """

    is_density = False
    writes = False

    def __init__(
        self,
        *,
        corpus: Corpus,
        vocabulary: Vocabulary,
        path: Place | None,
        sha256: str | None,
        distance: Literal["cosine", "squared_error"],
    ):
        if path is None:
            raise SettingError(PATH, "give the .safetensors file with your model's predictions (docs/own_models.md)")
        self.file = Path(path).expanduser()
        if not self.file.is_file():
            raise SettingError(PATH, f"{quoted(path)} is no file; give a .safetensors file (docs/own_models.md)")
        self.weights_sha256 = file_sha256(path)
        if sha256 is not None and self.weights_sha256 != sha256:
            raise SettingError(PATH, f"the content of {self.file.name} is no longer that of this cell; run a new cell")
        self.splits = self.checked_splits(corpus, len(vocabulary))
        self.targets = Targets("own", "type", self.finite("table"))
        width = self.targets.table.shape[1]
        self.head = HEADS[distance](hidden_size=width, vocabulary=vocabulary, targets=self.targets)
        self.head.requires_grad_(False)
        self.head.projection.weight.copy_(torch.eye(width))  # a prediction is its own projection
        self.head.projection.bias.zero_()

    def checked_splits(self, corpus: Corpus, size: int) -> tuple[str, ...]:
        """Check names and shapes of the tensors, without reading them; return the splits that have predictions."""
        try:
            with safe_open(self.file, "pt") as opened:
                shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
                metadata = opened.metadata() or {}
        except SafetensorError as error:
            raise SettingError(PATH, f"{self.file} is no safetensors file ({error}); save it again") from None
        if metadata.get("corpus_sha256", corpus.digest) != corpus.digest:
            raise SettingError(PATH, f"{self.file.name} was made for another text; export and predict this text")
        lengths = {"table": size} | {split: len(getattr(corpus, split)) for split in SPLITS}
        width = shapes.get("table", ())[-1:]
        for name, length in lengths.items():
            if name not in shapes and name == "train":
                continue
            if shapes.get(name) != (length, *width) or not width:
                found = f"has the shape {shapes[name]}" if name in shapes else "is missing"
                per = "word of the vocabulary" if name == "table" else "word of the text"
                problem = f"tensor `{name}` of {self.file.name} {found}; it has to be [{length:,}, D], a row per {per}"
                raise SettingError(PATH, problem)
        return tuple(name for name in shapes if name in lengths and name != "table")

    def finite(self, name: str, spans: Sequence[tuple[int, int | None]] = ((0, None),)) -> Tensor:
        """Return rows of a tensor, of which no others are read. -> [n, D] float32

        Args:
            spans: first row and end of each part; the file is opened once for all.

        Raises:
            SettingError: a number is not finite.
        """
        with safe_open(self.file, "pt") as opened:
            stored = opened.get_slice(name)
            parts = [stored[start:end].float() for start, end in spans]
        for (start, _), part in zip(spans, parts, strict=True):
            bad = (~part.isfinite().all(1)).nonzero()
            if len(bad):
                problem = f"row {start + int(bad[0])} of `{name}` in {self.file.name} is not finite"
                raise SettingError(PATH, f"{problem}; correct the file")
        return torch.cat(parts)

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return the predictions of the first words of a split. [N, D] float32

        Raises:
            SettingError: the text is of no split that has predictions.
        """
        if split not in self.splits:
            problem = f"{self.file.name} has predictions of {', '.join(self.splits)} alone"
            raise SettingError("RUN", f"{problem}; add those of the other splits")
        return self.finite(split, [(0, len(text))])

    def segment_features(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """Return the predictions of segments. [R, T] -> [R, T, D]"""
        spans = [(int(row[0]), int(row[-1]) + 1) for row in positions]
        return self.finite(split, spans).unflatten(0, positions.shape)

    def scores(self, features: Tensor) -> Tensor:
        return self.head.scores(features)

    def rows(self) -> tuple[Tensor, Tensor | None]:
        return self.head.rows()

    def queries(self, features: Tensor) -> Tensor:
        return self.head.queries(features)
