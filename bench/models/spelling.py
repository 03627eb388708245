"""What an out-of-vocabulary word costs: a byte model of the spellings that `<unk>` hides.

It prices *any* string (bytes and an end mark, no closed character set), so word perplexities compare across vocabulary
sizes and with models of word pieces. Where the text itself has `<unk>`, that word is one symbol beside the bytes: its
price is −log of its share among the words that `<unk>` hides, next to nothing where it hides no other word.
"""

import functools

import numpy as np

from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK
from bench.models.kneser_ney import KneserNey

END, UNK_SYMBOL = 256, 257

ORDER = 6


class Speller:
    """−log p(spelling | `<unk>`), learnt from every occurrence of a training word that the vocabulary leaves out."""

    def __init__(self, vocabulary: Vocabulary):
        corpus = vocabulary.corpus
        hidden = np.flatnonzero((vocabulary.ids == vocabulary.unk) & (corpus.counts > 0))
        spellings = [symbols(corpus.lexicon[i]) for i in hidden]
        alphabet = UNK_SYMBOL + 1 if corpus.lexicon[-1] == UNK else END + 1
        self.model = KneserNey(spellings, alphabet, ORDER, weights=corpus.counts[hidden])
        self.nats = functools.cache(self._nats)  # a word's price never changes, and rare words do recur

    def _nats(self, word: str) -> float:
        """Nats of one word's bytes and its end."""
        spelling = symbols(word)
        rows = self.model.probabilities(self.model.contexts(spelling, ORDER - 1))
        return float(-np.log(rows[np.arange(len(spelling)), spelling]).sum())


def symbols(word: str) -> np.ndarray:
    """A word -> its UTF-8 bytes and the end mark."""
    if word == UNK:
        return np.array([UNK_SYMBOL, END])
    return np.append(np.frombuffer(word.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64), END)
