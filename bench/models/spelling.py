"""Byte model of the spellings of out-of-vocabulary words: prices the words that `<unk>` stands for.

The model prices *any* string (bytes and an end mark, no closed character set), so word perplexities are comparable
across vocabulary sizes and with models of word pieces. If the text itself contains the word `<unk>`, that word is one
symbol beside the bytes: its price is −log of its share among all out-of-vocabulary words, close to 0 if there is no
other such word.
"""

import functools

import numpy as np

from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK
from bench.models.kneser_ney import KneserNey

END, UNK_SYMBOL = 256, 257  # symbols after the 256 bytes: end of a word, and the word `<unk>` of the text

ORDER = 6  # n of the byte n-gram


class Speller:
    """Byte n-gram of −log p(spelling | `<unk>`), fitted to all occurrences of training words without an id.

    The model is fitted when the first word is priced; generation prices no word.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.nats = functools.cache(self._nats)  # the price of a word is constant, and rare words recur

    @functools.cached_property
    def model(self) -> KneserNey:
        """Model of the symbols of a spelling."""
        vocabulary, corpus = self.vocabulary, self.vocabulary.corpus
        hidden = np.flatnonzero((vocabulary.ids == vocabulary.unk) & (corpus.counts > 0))
        spellings = [symbols(corpus.lexicon[i]) for i in hidden]
        alphabet = UNK_SYMBOL + 1 if corpus.lexicon[-1] == UNK else END + 1
        return KneserNey(spellings, alphabet, ORDER, weights=corpus.counts[hidden])

    def _nats(self, word: str) -> float:
        """Return the nats of the bytes and the end mark of one word."""
        spelling = symbols(word)
        rows = self.model.probabilities(self.model.context_codes(spelling, ORDER - 1))
        return float(-np.log(rows[np.arange(len(spelling)), spelling]).sum())


def symbols(word: str) -> np.ndarray:
    """Return the UTF-8 bytes and the end mark of a word. -> [bytes + 1] int64"""
    if word == UNK:
        return np.array([UNK_SYMBOL, END])
    return np.append(np.frombuffer(word.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64), END)
