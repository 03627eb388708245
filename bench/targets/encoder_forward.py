"""Forward passes of a BERT-family model over documents: words -> word pieces -> spans -> batches -> vector per word.

A span is a run of words of one document that one pass reads; all vectors of the span are kept, or the last alone.
N words, L lexicon types, P pieces, S spans, B spans of a batch, T positions of a row, D the width.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core.errors import SettingError, one_line
from bench.data.text import ragged
from bench.data.words import UNK
from bench.targets import encoder_files
from bench.targets.last_layer import LastLayer, shorten
from bench.targets.probes import effect_of_later_positions, sees_padding

RESERVED = 4  # positions of a row without words: [CLS], [SEP], and two that RoBERTa skips

SHARD = 1 << 23  # words read at a time; arrays of positions and spans take about 100 bytes per word

BATCH_PIECES = {"cpu": 2048, "cuda": 4096}  # pieces per batch; on a CPU, activations of this size stay in its cache


class EncoderModel:
    """Loaded encoder model; `bench.targets.encoder.Encoder` explains the settings.

    Args:
        folder: folder of the weights and the tokenizer.
        config: configuration of `transformers`, without the layers after the one that is read.

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
        config.is_decoder = context == "causal"  # attention applies a causal mask and stores none
        self.model, tokenizer = encoder_files.load_encoder(folder, config, dtype)
        self.model.to(device)
        try:
            effect = effect_of_later_positions(self.outputs, config.vocab_size)[0]
            # causal rows do not see the padding, which comes last
            self.sees_padding = not config.is_decoder and sees_padding(self.outputs, config.vocab_size, self.pad_id)
        except Exception as error:  # each architecture raises errors of its own
            setting = "targets.encoder" if config.num_hidden_layers else "targets.layer"
            problem = f"{config.model_type} cannot read a row at layer {config.num_hidden_layers}"
            raise SettingError(setting, f"{problem} ({one_line(error)}); give another") from error
        if config.is_decoder and effect > 1e-3:
            problem = f"{config.model_type} ignores the causal mask; use targets.context=prefix"
            raise SettingError("targets.context", problem)
        if not config.is_decoder and config.num_hidden_layers and not effect:
            problem = f"{config.model_type} reads no context on this machine: other words do not change a vector"
            raise SettingError("targets.encoder", f"{problem}; give another")
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
        """Yield positions in the text [n] and their vectors [n, D] float32, batch by batch, the longest spans first.

        A text of more than SHARD words is read in shards of whole documents, so that memory does not grow with it.

        Args:
            lexicon: L types.
            words: [N] indices into the lexicon.
            starts: [documents + 1], as in `bench.data.text.Text`.
        """
        for first, end in shards(starts):
            begin = int(starts[first])
            pieces, begins = self.tokenize(lexicon, words[begin : starts[end]])
            for positions, vectors in self.passes(pieces, begins, starts[first : end + 1] - begin):
                yield positions + begin, vectors

    def passes(
        self, pieces: np.ndarray, begins: np.ndarray, starts: np.ndarray
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield positions and vectors of a text in pieces, as `read` does. [P], [N + 1], [documents + 1]"""
        spans = cut(begins, starts, window=self.window, limit=self.limit, every_word=self.context == "prefix")
        for some in self.batches(begins[spans[:, 1]] - begins[spans[:, 0]]):
            yield self._read_batch(pieces, begins, spans[some])

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the spans of each batch; spans of similar length share a batch, so that padding is rare. [S]

        Where words see the padding, spans of one length share a batch.
        """
        order = np.argsort(-lengths, kind="stable")
        rising, first = -lengths[order], 0
        while first < len(order):
            end = first + self.rows(-int(rising[first]))
            if self.sees_padding:
                end = min(end, int(np.searchsorted(rising, rising[first], side="right")))
            yield order[first:end]
            first = end

    def rows(self, length: int) -> int:
        """Return the number of spans of `length` pieces per batch."""
        return max(1, BATCH_PIECES[self.model.device.type] // length)

    def shortened(self) -> LastLayer | None:
        """Return the shortened last layer if a pass keeps one word and the architecture is known, else None."""
        return shorten(self.model) if self.context == "prefix" else None

    def outputs(self, ids: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        """Return the outputs of rows of pieces. [B, T] -> [B, T, D], on the model's device

        Args:
            real: False for padding [B, T]. Causal rows need none: their padding comes last, where no word sees it.
        """
        device = self.model.device
        mask = None if real is None or self.context == "causal" else real.to(device)
        return self.model(ids.to(device), attention_mask=mask, use_cache=False)[0]

    def unknown(self, lexicon: list[str]) -> np.ndarray:
        """Return which types the tokenizer has no piece for but the unknown one; `<unk>` does not count. [L] bool"""
        rows = zip(lexicon, self.spelt(lexicon), strict=True)
        return np.array([word != UNK and {*pieces} == {self.tokenizer.unk_token_id} for word, pieces in rows])

    def spelt(self, lexicon: list[str]) -> list[list[int]]:
        """Return the piece ids of each type: at least one, and no more than a row has room for."""
        # RoBERTa's tokenizer takes a word after a space as a whole word; BERT's ignores the space
        spaced = [f" {word}" if word != UNK else self.tokenizer.unk_token for word in lexicon]
        rows = self.tokenizer(spaced, add_special_tokens=False)["input_ids"]
        return [row[: self.limit] or [self.tokenizer.unk_token_id] for row in rows]

    def tokenize(self, lexicon: list[str], words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the piece ids [P] of words [N] and each word's first position [N + 1]; a type is tokenised once."""
        rows = self.spelt(lexicon)
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
            at, selected = begin[:, None] + np.minimum(nth, counts[:, None] - 1), nth < counts[:, None]  # [B, k]
            self.last.select(torch.from_numpy(at).to(device), torch.from_numpy(selected).to(device))
            begin = np.cumsum(counts) - counts
        hidden = self.outputs(torch.from_numpy(ids), torch.from_numpy(real))  # [B, T, D]
        return words, pool(hidden.flatten(0, 1), begin, counts, self.pooling)


def shards(starts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and end of consecutive documents of at most SHARD words together, or of a single longer document."""
    first = 0
    while first < len(starts) - 1:
        end = max(first + 1, int(np.searchsorted(starts, starts[first] + SHARD, side="right")) - 1)
        yield first, end
        first = end


def cut(begins: np.ndarray, starts: np.ndarray, *, window: int, limit: int, every_word: bool) -> np.ndarray:
    """Cut documents into spans of at most `window` words and `limit` pieces: first word, end, first kept. [S, 3]

    Spans are consecutive windows that keep all their words, or with `every_word` each word's longest window.
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
    """Pool hidden states [B * T, D] over words, given first positions [n] and counts [n]. [n, D] float32, CPU"""
    if how == "mean":
        pieces = hidden[ragged(begins, counts)].float()
        return torch.segment_reduce(pieces, "mean", lengths=torch.from_numpy(counts).to(hidden.device)).cpu()
    return hidden[begins if how == "first" else begins + counts - 1].float().cpu()
