"""Training text of a causal language model as endless batches of word pieces.

D documents, P pieces of an epoch, B rows, T steps.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.data.step_batches import Steps
from bench.data.subwords import Pieces
from bench.data.text import Text


class PieceBatch(NamedTuple):
    """Inputs and targets of one training step."""

    pieces: Tensor  # [B, T + 1] int64: all but the last are inputs, all but the first are targets
    trained_words: int  # words that begin among the targets; a budget counts these


class PieceBatches(Steps):
    """Endless batches whose order is a function of (seed, step) alone.

    Each epoch puts the documents in a new order, cuts their pieces into windows of T + 1 pieces that overlap by one,
    and reads the windows in random order. A BOS that differs from EOS is the first input of every window. A batch
    encodes the words of its own windows, so that the pieces of a long text are never in memory at once.
    """

    def __init__(self, pieces: Pieces, text: Text, *, rows: int, length: int, seed: int):
        self.pieces, self.text, self.seed = pieces, text, seed
        self.sizes = np.diff(pieces.pieces_before(text)) + 1 + pieces.separate  # [D] begin and own end token included
        size = int(self.sizes.sum()) + (not pieces.separate)  # a shared token closes the last document
        self.length = min(length, size - 1)
        self.windows = (size - 1) // self.length
        super().__init__(min(rows, self.windows), "system.model.batch_size")
        self.epoch = -1

    def batch(self, step: int) -> PieceBatch:
        """Return the batch of a step."""
        epoch, nth = divmod(step, self.windows // self.rows)
        if epoch != self.epoch:
            self.start_epoch(epoch)
        windows = self.order[nth * self.rows : (nth + 1) * self.rows][self.rank :: self.world]
        rows = np.stack([self.read(start, start + self.length + 1) for start in (windows * self.length).tolist()])
        pieces = self.pieces.open_windows(rows)
        return PieceBatch(torch.from_numpy(pieces), int(self.pieces.begins[pieces[:, 1:]].sum()))

    def start_epoch(self, epoch: int) -> None:
        """Order the documents and windows of one epoch."""
        random = np.random.default_rng((self.seed, epoch))
        self.shuffled = random.permutation(len(self.sizes))
        self.ends = np.cumsum(self.sizes[self.shuffled])
        self.order, self.epoch = random.permutation(self.windows), epoch

    def read(self, start: int, end: int) -> np.ndarray:
        """Return pieces `start` to `end` of the epoch. -> [end - start] int64"""
        first, last = np.searchsorted(self.ends, [start, end - 1], side="right")
        parts = []
        for nth in range(first, min(last + 1, len(self.ends))):
            document = self.shuffled[nth]
            before = int(self.ends[nth] - self.sizes[document])
            parts.append(self.read_document(document, max(start - before, 0), end - before))
        if last == len(self.ends):
            parts.append(np.array([self.pieces.end]))
        return np.concatenate(parts)

    def read_document(self, document: int, start: int, end: int) -> np.ndarray:
        """Return pieces `start` to `end` of one document; its first piece is the begin token. -> [up to end - start]"""
        pieces, words = self.pieces, self.text.words[self.text.starts[document] : self.text.starts[document + 1]]
        ends = 1 + np.cumsum(pieces.lengths[words])  # of each word, in pieces
        first, last = np.searchsorted(ends, [start, end - 1], side="right")
        begin, end_token = [pieces.begin] * int(first == 0), [pieces.end] * int(pieces.separate)
        line = np.array([*begin, *pieces.encode_words(words[first : last + 1]), *end_token], np.int64)
        offset = 0 if first == 0 else int(ends[first - 1])
        return line[start - offset : end - offset]
