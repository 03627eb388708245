"""A BERT-family model reads documents: words -> word pieces -> spans -> batches -> one vector a word.

A span is a run of words of one document that one pass reads; all their vectors are kept, or the last.
N words, L lexicon types, P pieces, S spans, B spans of a batch, T positions of a row, D the width.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core.errors import SettingError
from bench.data.words import UNK
from bench.targets import encoder_files
from bench.targets.last_layer import LastLayer, shorten

RESERVED = 4  # positions of a row that words cannot have: [CLS], [SEP], and two that RoBERTa skips

BATCH_PIECES = {"cpu": 2048, "cuda": 4096}  # on a CPU what lies between two layers stays in its cache


class Reader:
    """The loaded model; `bench.targets.encoder.Encoder` says what its settings mean.

    Args:
        folder: holds the weights and the tokenizer.
        config: of `transformers`, cut to the layers that are wanted.

    Raises:
        SettingError: the files cannot be read, or this model cannot be read causally.
    """

    def __init__(
        self,
        folder: Path,
        config: Any,
        *,
        context: str,
        window: int,
        pooling: str,
        special_tokens: str,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.context, self.window, self.pooling = context, window, pooling
        self.pad_id = config.pad_token_id or 0
        config.is_decoder = context == "causal"  # a causal mask, and none to hold in memory
        self.model, tokenizer = encoder_files.load_encoder(folder, config, dtype)
        self.model.to(device)
        if config.is_decoder and self._sees_the_future(config.vocab_size):
            problem = f"{config.model_type} ignores the causal mask; use targets.context=prefix"
            raise SettingError("targets.context", problem)
        self.last = self.shortened()
        self.tokenizer = tokenizer
        self.limit = min(config.max_position_embeddings, tokenizer.model_max_length) - RESERVED
        self.head = [tokenizer.cls_token_id] * (special_tokens != "none")
        self.tail = [tokenizer.sep_token_id] * (special_tokens == "both" and not config.is_decoder)
        if None in [*self.head, *self.tail, tokenizer.unk_token_id]:
            problem = f"the tokenizer of {folder} lacks [CLS], [SEP] or [UNK]; take another"
            raise SettingError("targets.encoder", problem)

    def read(
        self, lexicon: list[str], words: np.ndarray, starts: np.ndarray
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batch by batch, the longest spans first: positions in the text [n], their vectors [n, D] float32.

        Args:
            lexicon: L types.
            words: [N] indices into it.
            starts: [documents + 1], as in `bench.data.corpus.Text`.
        """
        yield from self.passes(*self.spell(lexicon, words), starts)

    def passes(
        self, pieces: np.ndarray, begins: np.ndarray, starts: np.ndarray
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The same of words in pieces. [P], [N + 1], [documents + 1]"""
        spans = cut(begins, starts, window=self.window, limit=self.limit, every_word=self.context == "prefix")
        for some in self.batches(begins[spans[:, 1]] - begins[spans[:, 0]]):
            yield self._read_batch(pieces, begins, spans[some])

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Which spans are read together: those of about one length, so that next to nothing is padding. [S]"""
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            size = self.rows(int(lengths[order[0]]))
            yield order[:size]
            order = order[size:]

    def rows(self, length: int) -> int:
        """How many spans of so many pieces a batch has."""
        return max(1, BATCH_PIECES[self.model.device.type] // length)

    def shortened(self) -> LastLayer | None:
        """What computes the last layer where it is read alone, if a pass keeps one word and the model allows it."""
        return shorten(self.model) if self.context == "prefix" else None

    def mask(self, real: np.ndarray) -> torch.Tensor | None:
        """None for causal rows: pads come last, where no word sees them. [B, T]"""
        return None if self.context == "causal" else torch.from_numpy(real).to(self.model.device)

    def spell(self, lexicon: list[str], words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[N] words -> [P] piece ids and [N + 1] where each word's begin; a type is tokenised once."""
        # a space before it makes RoBERTa's tokenizer see a whole word; BERT's drops it
        spaced = [f" {word}" if word != UNK else self.tokenizer.unk_token for word in lexicon]
        rows = self.tokenizer(spaced, add_special_tokens=False)["input_ids"]
        rows = [row[: self.limit] or [self.tokenizer.unk_token_id] for row in rows]
        counts = np.fromiter(map(len, rows), np.int64)  # [L]
        pieces = np.fromiter(chain.from_iterable(rows), np.int64)
        begins = np.concatenate([[0], np.cumsum(counts[words])])
        return pieces[ragged((np.cumsum(counts) - counts)[words], counts[words])], begins

    @torch.inference_mode()
    def _read_batch(self, pieces: np.ndarray, begins: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        lines = [[*self.head, *pieces[begins[first] : begins[end]], *self.tail] for first, end, _ in spans]
        lengths = np.fromiter(map(len, lines), np.int64)
        ids = np.full((len(lines), lengths.max()), self.pad_id)
        real = np.arange(ids.shape[1]) < lengths[:, None]
        ids[real] = np.fromiter(chain.from_iterable(lines), np.int64)
        device = self.model.device

        first, end, kept = spans.T
        words = ragged(kept, end - kept)  # [n]
        row = np.repeat(np.arange(len(spans)), end - kept)
        begin, counts = len(self.head) + begins[words] - begins[first][row], begins[words + 1] - begins[words]
        if self.last is None:
            begin = begin + row * ids.shape[1]  # rows end to end
        else:  # a row keeps one word
            nth = np.arange(counts.max())
            at, asked = begin[:, None] + np.minimum(nth, counts[:, None] - 1), nth < counts[:, None]  # [B, k]
            self.last.ask(torch.from_numpy(at).to(device), torch.from_numpy(asked).to(device))
            begin = np.cumsum(counts) - counts
        given = torch.from_numpy(ids).to(device)
        hidden = self.model(given, attention_mask=self.mask(real), use_cache=False)[0]  # [B, T, D]
        return words, pool(hidden.flatten(0, 1), begin, counts, self.pooling)

    @torch.inference_mode()
    def _sees_the_future(self, pieces: int) -> bool:
        """Whether a first position changes with the second."""
        rows = torch.tensor([[pieces - 1, pieces - 1], [pieces - 1, pieces - 2]], device=self.model.device)
        one, other = self.model(rows, use_cache=False)[0][:, 0].float()
        return bool((one - other).abs().max() > 1e-3)


def cut(begins: np.ndarray, starts: np.ndarray, *, window: int, limit: int, every_word: bool) -> np.ndarray:
    """Documents -> spans of at most `window` words and `limit` pieces: first word, end, first kept. [S, 3]

    Windows that follow one another and keep all they read, or for every word the longest that ends at it.
    """
    words = np.arange(len(begins) - 1)
    lengths = np.diff(starts)
    if every_word:
        fits = np.searchsorted(begins, begins[1:] - limit)
        first = np.maximum(np.maximum(words + 1 - window, np.repeat(starts[:-1], lengths)), fits)
        return np.stack([first, words + 1, words], axis=1)
    fits = np.searchsorted(begins, begins[:-1] + limit, side="right") - 1
    reach = np.minimum(np.minimum(words + window, np.repeat(starts[1:], lengths)), fits)  # [N]
    firsts, at = [], 0
    while at < len(words):
        firsts.append(at)
        at = int(reach[at])
    return np.stack([firsts, reach[firsts], firsts], axis=1)


def pool(hidden: torch.Tensor, begins: np.ndarray, counts: np.ndarray, how: str) -> torch.Tensor:
    """Positions [B * T, D], each word's first [n] and how many it has [n] -> [n, D] float32 on the CPU."""
    if how == "mean":
        pieces = hidden[ragged(begins, counts)].float()
        return torch.segment_reduce(pieces, "mean", lengths=torch.from_numpy(counts).to(hidden.device)).cpu()
    return hidden[begins if how == "first" else begins + counts - 1].float().cpu()


def ragged(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Runs end to end: begins[0], begins[0] + 1, … (counts[0] of them), begins[1], …"""
    return np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
