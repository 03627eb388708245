"""Words <-> word pieces, and the training text as endless batches of pieces.

A document is its words joined by single spaces, so the pieces of " " + word, one word after the other, are its
pieces, and every word's first and last piece are known. One boundary token precedes each document and ends it.
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
    """A byte-level BPE of at most `size` pieces from the training split: it can spell any word.

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
    texts = (" " + " ".join(corpus.spell(document)) for document in corpus.train.documents())
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOUNDARY, eos_token=BOUNDARY)


class Pieces:
    """How a tokeniser spells every type of a lexicon, looked up once a type.

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
        boundary = tokenizer.get_vocab().get(BOUNDARY, tokenizer.eos_token_id)  # a chat model's own end is a turn's end
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
        """Word probabilities are exact only where a word's first piece, and no other, can begin a word."""
        spelled, first = self.spelled[:-1], np.zeros(len(self.spelled), bool)
        first[self.offsets[:-1]] = True
        unknown = self.tokenizer.unk_token_id
        strange = np.isin(spelled, [self.boundary, self.boundary if unknown is None else unknown])
        for piece in np.flatnonzero((self.begins[spelled] != first[:-1]) | strange)[:1]:
            word = lexicon[np.searchsorted(self.offsets, piece, side="right") - 1]
            raise SettingError("system.pretrained", f"its tokeniser cannot spell {word!r} as one word of pieces")

    def spell(self, words: np.ndarray) -> np.ndarray:
        """Lexicon indices (L: the boundary) -> their pieces, laid end to end. [N] -> [P]"""
        lengths = self.lengths[words]
        before = np.cumsum(lengths) - lengths
        return self.spelled[np.repeat(self.offsets[words] - before, lengths) + np.arange(lengths.sum())]

    def lay(self, text: Text) -> np.ndarray:
        """A text -> boundary, document, boundary, document, …, boundary. [P]"""
        return self.spell(np.insert(text.words, text.starts, len(self.lengths) - 1))

    def first(self, text: Text) -> np.ndarray:
        """Where in `lay(text)` each word's first piece stands. [N]"""
        lengths = self.lengths[text.words]
        document = np.searchsorted(text.starts, np.arange(len(text)), side="right")
        return np.cumsum(lengths) - lengths + document

    def read(self, pieces: list[int]) -> list[str]:
        """Pieces -> words: one begins wherever a piece can begin one."""
        groups: list[list[int]] = []
        for piece in pieces:
            if self.begins[piece] or not groups:
                groups.append([])
            groups[-1].append(piece)
        return [self.tokenizer.decode(group).strip() for group in groups]


class PieceBatch(NamedTuple):
    """What one training step reads."""

    pieces: Tensor  # [B, T + 1] int64: inputs, and targets one to the right
    trained_words: int  # that begin among the targets: what a budget counts


class PieceBatches(Steps):
    """Endless batches whose order is a function of (seed, step) alone.

    Each epoch lays the documents in a new order, cuts the line into windows of T + 1 pieces that overlap by one,
    and deals those out in random order.
    """

    def __init__(self, pieces: Pieces, text: Text, *, rows: int, length: int, seed: int):
        self.pieces, self.documents, self.seed = pieces, text.documents(), seed
        size = len(pieces.lay(text))
        self.length = min(length, size - 1)
        self.windows = (size - 1) // self.length
        super().__init__(min(rows, self.windows), "system.model.batch_size")
        self.epoch, self.order, self.line = -1, np.empty(0), np.empty(0)

    def batch(self, step: int) -> PieceBatch:
        """The batch of any step."""
        epoch, turn = divmod(step, self.windows // self.rows)
        if epoch != self.epoch:
            self.shuffle(epoch)
        window = self.order[turn * self.rows : (turn + 1) * self.rows][self.rank :: self.world]
        pieces = self.line[window[:, None] * self.length + np.arange(self.length + 1)]
        return PieceBatch(torch.from_numpy(pieces), int(self.pieces.begins[pieces[:, 1:]].sum()))

    def shuffle(self, epoch: int) -> None:
        """Lay out one epoch."""
        random = np.random.default_rng((self.seed, epoch))
        boundary = [len(self.pieces.lengths) - 1]
        documents = [self.documents[i] for i in random.permutation(len(self.documents))]
        self.line = self.pieces.spell(np.concatenate([*([*boundary, *d] for d in documents), boundary]))
        self.order, self.epoch = random.permutation(self.windows), epoch
