"""Byte model of the spellings of out-of-vocabulary words: p(spelling | `<unk>`).

The model gives *every* string a probability (bytes and an end mark, no closed character set), so word perplexities are
comparable across vocabulary sizes and with models of word pieces. If the text itself contains the word `<unk>`, that
word is one symbol beside the bytes: its nats are −log of its share among all out-of-vocabulary words, close to 0 if
there is no other such word.
"""

import functools
from collections.abc import Sequence

import numpy as np

from bench.data.text import ragged
from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK
from bench.models.kneser_ney import KneserNey

END, UNK_SYMBOL = 256, 257  # symbols after the 256 bytes: end of a word, and the word `<unk>` of the text

ORDER = 6  # n of the byte n-gram


class Speller:
    """Byte n-gram of −log p(spelling | `<unk>`), fitted to all occurrences of training words without an id.

    The model is fitted at the first call of `nats` or `nats_of`; generation calls neither.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.prices = np.full(len(vocabulary.corpus.lexicon), np.nan)  # nats; NaN: not priced yet. [L]

    @functools.cached_property
    def model(self) -> KneserNey:
        """Model of the symbols of a spelling."""
        vocabulary, corpus = self.vocabulary, self.vocabulary.corpus
        hidden = np.flatnonzero((vocabulary.ids == vocabulary.unk) & (corpus.counts > 0))
        spellings = [symbols(corpus.lexicon[i]) for i in hidden]
        alphabet = UNK_SYMBOL + 1 if corpus.lexicon[-1] == UNK else END + 1
        return KneserNey(spellings, alphabet, ORDER, weights=corpus.counts[hidden])

    def nats(self, word: str) -> float:
        """Return the nats of the bytes and the end mark of any word."""
        return float(self._nats([word])[0])

    def nats_of(self, words: np.ndarray) -> np.ndarray:
        """Return the nats of words given as lexicon indices, each priced once. [N] -> [N] float64"""
        new = np.unique(words[np.isnan(self.prices[words])])
        if len(new):
            self.prices[new] = self._nats(self.vocabulary.corpus.words_of(new))
        return self.prices[words]

    def _nats(self, words: Sequence[str]) -> np.ndarray:
        """Return the nats of words that the model reads side by side. [n] float64"""
        spellings = [symbols(word) for word in words]
        lengths = np.fromiter(map(len, spellings), np.int64, len(spellings))
        read, depths = np.concatenate(spellings), ragged(np.zeros(len(lengths), np.int64), lengths)
        p = self.model.symbol_probabilities(self.model.context_codes(read, ORDER - 1, depths), read)
        return np.add.reduceat(-np.log(p), np.cumsum(lengths) - lengths)


def symbols(word: str) -> np.ndarray:
    """Return the UTF-8 bytes and the end mark of a word. -> [bytes + 1] int64"""
    if word == UNK:
        return np.array([UNK_SYMBOL, END])
    return np.array([*word.encode("utf-8", "surrogatepass"), END])
