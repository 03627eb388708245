"""Words <-> word pieces of a causal language model's tokeniser.

A document is its words joined by single spaces. Its pieces are therefore those of " " + word for one word after the
other, and each word's first and last piece are known. A begin token precedes every document and an end token follows
it; where both are the same token (GPT-2), neighbouring documents share one.
L lexicon types, N words, D documents, P pieces of a text, S distinct pieces, R windows, T steps.
"""

import itertools

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bench.core.errors import SettingError
from bench.data.corpus import Corpus
from bench.data.text import Text, chunks

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
    """Spellings of a lexicon in the pieces of a tokeniser, which encodes each type once.

    `begin` precedes a document: the tokeniser's BOS, else its EOS (the prefix token of lm-evaluation-harness). `end`
    follows a document: EOS, else BOS. A chat model, whose EOS is the end of a turn and which has `<|endoftext|>` as a
    special token too, was trained on documents with `<|endoftext|>` at both ends. In OPT's tokeniser `<|endoftext|>` is
    an ordinary token, which the model was not trained on and which is not used here.

    Raises:
        SettingError: the tokeniser does not mark word beginnings, has neither BOS nor EOS, or loses a part of a word.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, corpus: Corpus):
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        size = 1 + max(vocabulary.values())  # a tokeniser may skip ids
        tokens = tokenizer.convert_ids_to_tokens(range(size))
        self.begins = np.array([str(token).startswith(INITIALS) for token in tokens])  # [S] bool: first piece of a word
        if not self.begins.any():
            raise SettingError(
                "system.pretrained",
                "its tokeniser does not mark where words begin; take a GPT-2 or Llama style one",
            )
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        boundary = tokenizer.added_tokens_decoder.get(vocabulary.get(BOUNDARY))
        if boundary is not None and boundary.special and vocabulary[BOUNDARY] != eos:
            bos = eos = vocabulary[BOUNDARY]
        if bos is None and eos is None:
            raise SettingError("system.pretrained", "its tokeniser has neither BOS nor EOS token; take another model")
        self.begin, self.end = eos if bos is None else bos, bos if eos is None else eos
        self.separate = self.begin != self.end
        self.initial = np.append(np.flatnonzero(self.begins), self.end)  # ids that can follow a whole word
        # a `<unk>` in the text is spelt like any other word, also where the tokeniser has a special token of this name
        spaced = [" " + word for word in corpus.lexicon]
        spelled = tokenizer(spaced, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        self.check(corpus.lexicon, spelled)
        self.lengths = np.array([len(pieces) for pieces in spelled] + [1, 1])  # [L + 2]; types L, L + 1: begin, end
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])  # [L + 3]
        self.spelled = np.array([*itertools.chain.from_iterable(spelled), self.begin, self.end])

    def check(self, lexicon: list[str], spelled: list[list[int]]) -> None:
        """Refuse a tokeniser under which the probabilities of words would be wrong.

        The first piece of a word must be word-initial and no other piece may be; no piece may be a special token. Each
        word must decode to itself, so that no two words have one spelling.

        Raises:
            SettingError: up to three of the words, and the remedy.
        """
        special = {self.begin, self.end, self.tokenizer.unk_token_id}
        decoded = self.tokenizer.batch_decode(spelled, clean_up_tokenization_spaces=False) if lexicon else []
        torn, lost = [], []
        for word, pieces, text in zip(lexicon, spelled, decoded, strict=True):
            starts = [bool(self.begins[piece]) for piece in pieces]
            if sum(starts) > 1 or starts[:1] == [False] or special.intersection(pieces):
                torn.append(repr(word))
            elif text.strip() != word:
                lost.append(f"{word!r} becomes {text.strip()!r}")
        for words, problem in ((torn, "cannot spell"), (lost, "does not keep every word:")):
            if words:
                named = f"{problem} {', '.join(words[:3])}"
                more = f" and {len(words) - 3} more" if len(words) > 3 else ""
                remedy = "take a model with a byte-level tokeniser, or with byte fallback and no normaliser"
                raise SettingError("system.pretrained", f"its tokeniser {named}{more}; {remedy}")

    def encode_words(self, words: np.ndarray) -> np.ndarray:
        """Return the pieces of lexicon indices, end to end; L is the begin token, L + 1 the end token. [N] -> [P]"""
        lengths = self.lengths[words]
        before = np.cumsum(lengths) - lengths
        return self.spelled[np.repeat(self.offsets[words] - before, lengths) + np.arange(lengths.sum())]

    def encode_text(self, text: Text) -> np.ndarray:
        """Return the pieces of begin, document, end, begin, document, …, end; equal begin and end are merged. [P]"""
        begin = len(self.lengths) - 2
        if self.separate:
            positions = np.repeat(text.starts, 2)[1:-1]
            return self.encode_words(np.insert(text.words, positions, np.tile([begin, begin + 1], len(positions) // 2)))
        return self.encode_words(np.insert(text.words, text.starts, begin))

    def document_edges(self, text: Text) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of each document's begin and end tokens in `encode_text(text)`. [D], [D]"""
        pieces = self.pieces_before(text)
        before = np.arange(len(pieces) - 1) * (1 + self.separate)
        return pieces[:-1] + before, pieces[1:] + before + 1

    def pieces_before(self, text: Text) -> np.ndarray:
        """Return the pieces of all words before each document and before the end of the text. [D + 1] int64"""
        before, total = np.zeros(len(text.starts), np.int64), 0
        for chunk in chunks(len(text)):
            summed = total + np.concatenate([[0], np.cumsum(self.lengths[text.words[chunk]])])
            inside = slice(*np.searchsorted(text.starts, [chunk.start, chunk.stop + 1]))
            before[inside], total = summed[text.starts[inside] - chunk.start], int(summed[-1])
        return before

    def counts(self, text: Text, size: int) -> np.ndarray:
        """Return how often each piece id is in `encode_text(text)`; at least `size` entries. [size or more] int64"""
        types, documents = np.zeros(len(self.lengths), np.int64), len(text.starts) - 1
        for chunk in chunks(len(text)):
            types += np.bincount(text.words[chunk], minlength=len(types))
        types[-2:] = (documents, documents) if self.separate else (documents + 1, 0)
        return np.bincount(self.spelled, np.repeat(types, self.lengths), minlength=size).astype(np.int64)

    def first_pieces(self, text: Text) -> np.ndarray:
        """Return the position of each word's first piece in `encode_text(text)`. [N]"""
        lengths = self.lengths[text.words]
        before = np.searchsorted(text.starts, np.arange(len(text)), side="right") - 1  # documents before each word's
        return np.cumsum(lengths) - lengths + before * (1 + self.separate) + 1

    def open_windows(self, windows: np.ndarray) -> np.ndarray:
        """Put the begin token at the start of windows cut from a text, if it differs from the end token. [R, T]

        A model with a BOS was trained on inputs that begin with it; a model such as GPT-2 was not.
        """
        if self.separate:
            windows[:, 0] = self.begin
        return windows

    def decode(self, pieces: list[int]) -> list[str]:
        """Return the words of pieces: a word begins at each piece that can begin a word."""
        groups: list[list[int]] = []
        for piece in pieces:
            if self.begins[piece] or not groups:
                groups.append([])
            groups[-1].append(piece)
        return [self.tokenizer.decode(group).strip() for group in groups]
