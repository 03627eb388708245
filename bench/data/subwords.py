"""Words <-> word pieces, and the training text as endless batches of pieces.

A document is its words joined by single spaces. Its pieces are therefore those of " " + word for one word after the
other, and each word's first and last piece are known. A boundary token precedes every document and ends the text.
L lexicon types, N words, D documents, P pieces of a text, S distinct pieces, B rows, T steps.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, Text
from bench.data.step_batches import Steps

BOUNDARY = "<|endoftext|>"

INITIALS = ("Ġ", "▁")  # how byte-level and SentencePiece tokenisers write a leading space


def learn(corpus: Corpus, size: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of at most `size` pieces from the training split; it can spell any word.

    Raises:
        SettingError: fewer pieces than the 256 bytes and the boundary.
    """
    if size < 257:
        raise SettingError("system.model.pieces", f"{size} is less than 257, the bytes and the end of text; give more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOUNDARY],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (" " + " ".join(corpus.words_of(document)) for document in corpus.train.documents())
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOUNDARY, eos_token=BOUNDARY)


class Pieces:
    """Spellings of a lexicon in the pieces of a tokeniser, which reads each type once.

    Raises:
        SettingError: the tokeniser does not mark word beginnings, has no end of text, or cannot spell a word.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, corpus: Corpus):
        self.tokenizer = tokenizer
        size = 1 + max(tokenizer.get_vocab().values())  # a tokeniser may skip ids
        tokens = tokenizer.convert_ids_to_tokens(range(size))
        self.begins = np.array([str(token).startswith(INITIALS) for token in tokens])  # [S] bool: first piece of a word
        if not self.begins.any():
            raise SettingError(
                "system.pretrained",
                "its tokeniser does not mark where words begin; take a GPT-2 or Llama style one",
            )
        # a chat model's end-of-sequence token ends a turn, so the end of text has precedence
        boundary = tokenizer.get_vocab().get(BOUNDARY, tokenizer.eos_token_id)
        if boundary is None:
            raise SettingError("system.pretrained", "its tokeniser has no end-of-text token; take another model")
        self.boundary = boundary
        self.initial = np.append(np.flatnonzero(self.begins), self.boundary)  # ids that can follow a whole word
        spaced = [" " + word for word in corpus.lexicon]
        # a `<unk>` in the text is spelt like any other word, also where the tokeniser has a special token of this name
        spelled = tokenizer(spaced, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        self.lengths = np.array([len(pieces) for pieces in spelled] + [1])  # [L + 1]; type L is the boundary
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])  # [L + 2]
        self.spelled = np.array([*itertools.chain.from_iterable(spelled), self.boundary])
        self.check(corpus.lexicon)

    def check(self, lexicon: list[str]) -> None:
        """Refuse words whose first piece cannot begin a word, or whose other pieces can: p(word) would be wrong."""
        spelled, first = self.spelled[:-1], np.zeros(len(self.spelled), bool)
        first[self.offsets[:-1]] = True
        unknown = self.tokenizer.unk_token_id
        special = np.isin(spelled, [self.boundary, self.boundary if unknown is None else unknown])
        for piece in np.flatnonzero((self.begins[spelled] != first[:-1]) | special)[:1]:
            word = lexicon[np.searchsorted(self.offsets, piece, side="right") - 1]
            raise SettingError("system.pretrained", f"its tokeniser cannot spell {word!r} as one word of pieces")

    def encode_words(self, words: np.ndarray) -> np.ndarray:
        """Return the pieces of lexicon indices, end to end; index L is the boundary. [N] -> [P]"""
        lengths = self.lengths[words]
        before = np.cumsum(lengths) - lengths
        return self.spelled[np.repeat(self.offsets[words] - before, lengths) + np.arange(lengths.sum())]

    def encode_text(self, text: Text) -> np.ndarray:
        """Return a text's pieces: boundary, document, boundary, document, …, boundary. [P]"""
        return self.encode_words(np.insert(text.words, text.starts, len(self.lengths) - 1))

    def first_pieces(self, text: Text) -> np.ndarray:
        """Return the position of each word's first piece in `encode_text(text)`. [N]"""
        lengths = self.lengths[text.words]
        document = np.searchsorted(text.starts, np.arange(len(text)), side="right")
        return np.cumsum(lengths) - lengths + document

    def decode(self, pieces: list[int]) -> list[str]:
        """Return the words of pieces: a word begins at each piece that can begin a word."""
        groups: list[list[int]] = []
        for piece in pieces:
            if self.begins[piece] or not groups:
                groups.append([])
            groups[-1].append(piece)
        return [self.tokenizer.decode(group).strip() for group in groups]


class PieceBatch(NamedTuple):
    """Inputs and targets of one training step."""

    pieces: Tensor  # [B, T + 1] int64: all but the last are inputs, all but the first are targets
    trained_words: int  # words that begin among the targets; a budget counts these


class PieceBatches(Steps):
    """Endless batches whose order is a function of (seed, step) alone.

    Each epoch puts the documents in a new order, cuts their pieces into windows of T + 1 pieces that overlap by one,
    and reads the windows in random order.
    """

    def __init__(self, pieces: Pieces, text: Text, *, rows: int, length: int, seed: int):
        self.pieces, self.documents, self.seed = pieces, text.documents(), seed
        size = len(pieces.encode_text(text))
        self.length = min(length, size - 1)
        self.windows = (size - 1) // self.length
        super().__init__(min(rows, self.windows), "system.model.batch_size")
        self.epoch, self.order, self.line = -1, np.empty(0), np.empty(0)

    def batch(self, step: int) -> PieceBatch:
        """Return the batch of a step."""
        epoch, nth = divmod(step, self.windows // self.rows)
        if epoch != self.epoch:
            self.start_epoch(epoch)
        window = self.order[nth * self.rows : (nth + 1) * self.rows][self.rank :: self.world]
        pieces = self.line[window[:, None] * self.length + np.arange(self.length + 1)]
        return PieceBatch(torch.from_numpy(pieces), int(self.pieces.begins[pieces[:, 1:]].sum()))

    def start_epoch(self, epoch: int) -> None:
        """Order the documents and windows of one epoch."""
        random = np.random.default_rng((self.seed, epoch))
        boundary = [len(self.pieces.lengths) - 1]
        documents = [self.documents[i] for i in random.permutation(len(self.documents))]
        self.line = self.pieces.encode_words(np.concatenate([*([*boundary, *d] for d in documents), boundary]))
        self.order, self.epoch = random.permutation(self.windows), epoch
