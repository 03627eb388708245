"""Synthetic language with a known distribution: the entropy rate is a lower bound for every system's loss.

A word belongs to one class, and the classes of the two words before determine the distribution of the next class:
p(w | history) = T[c2, c1, c(w)] · p(w | c(w)). Each word has one class, so the true model has no latent variable; a
trained model has to infer the classes from the text or from the spellings, whose endings name the class.
K classes, L types, N words, B documents of a batch.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CHANCE = 0.01  # share of class draws that ignore the history: no word is impossible, and the chain is ergodic

BATCH_WORDS = 2**18  # words drawn at a time; bounds memory

CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"

SYLLABLES = ["".join(pair) for pair in itertools.product(CONSONANTS, VOWELS)]

ENDINGS = ["".join(pair) for pair in itertools.product(VOWELS, CONSONANTS)]

STATIONARY = 1e-13  # total change of the pair distribution at which the power iteration stops

LANGUAGE, TEXT = 0, 1  # random streams; draws of the language and of its text are independent


@dataclass(frozen=True)
class Language:
    """Words 0 to L − 1 with frequencies of about 1 / (w + 1); a document begins as if after two words of class 0.

    Args:
        types: L.
        classes: K; the first K words have classes 0 to K − 1 for every seed.
        concentration: of the Dirichlet distribution of transitions; a low value makes the next class easy to predict.
        seed: of classes, transitions and text.
    """

    types: int
    classes: int
    concentration: float
    seed: int

    @functools.cached_property
    def class_of(self) -> np.ndarray:
        """Class of each word; every K consecutive words by frequency have all K classes. [L] int64"""
        classes = np.tile(np.arange(self.classes), (-(-self.types // self.classes), 1))
        classes[1:] = np.random.default_rng((self.seed, LANGUAGE)).permuted(classes[1:], axis=1)
        return classes.ravel()[: self.types]

    @functools.cached_property
    def mass(self) -> np.ndarray:
        """Probability of each class under word frequencies of 1 / rank. [K] float64"""
        zipf = 1 / np.arange(1, self.types + 1)
        return np.bincount(self.class_of, zipf / zipf.sum())

    @functools.cached_property
    def in_class(self) -> np.ndarray:
        """p(w | c(w)). [L] float64"""
        zipf = 1 / np.arange(1, self.types + 1)
        return zipf / np.bincount(self.class_of, zipf)[self.class_of]

    @functools.cached_property
    def transitions(self) -> np.ndarray:
        """p(class | the two classes before); row c2 · K + c1. [K², K] float64"""
        random = np.random.default_rng((self.seed, LANGUAGE, self.classes))
        rows = random.dirichlet(self.concentration * self.mass, self.classes**2)
        return (1 - CHANCE) * rows + CHANCE * self.mass

    def contexts(self, words: np.ndarray) -> np.ndarray:
        """Return the row of `transitions` for each word of a document. [N] -> [N] int64"""
        before = np.concatenate([[0, 0], self.class_of[words]])
        return before[:-2] * self.classes + before[1:-1]

    def log_probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """Return log p of every word after each pair of classes. [N] -> [N, L] float64"""
        return np.log(self.transitions[contexts])[:, self.class_of] + np.log(self.in_class)

    def nats(self, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return −log p of one word per pair of classes. [N], [N] -> [N] float64"""
        return -np.log(self.transitions[contexts, self.class_of[words]] * self.in_class[words])

    @functools.cached_property
    def stationary(self) -> np.ndarray:
        """Stationary distribution of pairs of classes. [K²] float64"""
        steps = self.transitions.reshape(self.classes, self.classes, self.classes)
        pairs, change = np.outer(self.mass, self.mass), np.inf
        while change > STATIONARY:
            after = np.matmul(pairs.T[:, None], steps.swapaxes(0, 1))[:, 0]  # [c1, c] of [c2, c1] and [c2, c1, c]
            change, pairs = np.abs(after - pairs).sum(), after / after.sum()
        return pairs.ravel()

    @functools.cached_property
    def entropy_rate_bits(self) -> float:
        """Entropy rate, bits per word: entropy of the next class plus entropy of the word within its class."""
        of_class = -(self.transitions * np.log2(self.transitions)).sum(1)  # [K²]
        of_word = -np.bincount(self.class_of, self.in_class * np.log2(self.in_class))  # [K]
        return float(self.stationary @ of_class + self.stationary @ self.transitions @ of_word)

    def documents(self, length: int) -> Iterator[np.ndarray]:
        """Yield an endless, reproducible stream of documents of `length` words. [length] int32 each"""
        for batch in itertools.count():
            yield from self._batch(np.random.default_rng((self.seed, TEXT, batch)), length)

    def _batch(self, random: np.random.Generator, length: int) -> np.ndarray:
        """Draw B documents: the next class of all documents at each step, then all words at once. [B, length] int32"""
        rows = max(1, BATCH_WORDS // length)
        classes = np.empty((length, rows), np.int64)
        pairs = np.zeros(rows, np.int64)
        for step, chance in zip(classes, random.random((length, rows)), strict=True):
            drawn = np.searchsorted(self._cumulative_classes, pairs + chance, side="right") - pairs * self.classes
            step[:] = np.minimum(drawn, self.classes - 1)  # a sum may round up to the next row
            pairs = pairs % self.classes * self.classes + step
        order, cumulative, starts = self._cumulative_words
        drawn = np.searchsorted(cumulative, classes + random.random((length, rows)), side="right")
        return order[np.clip(drawn, starts[classes], starts[classes + 1] - 1)].T.copy()

    @functools.cached_property
    def _cumulative_classes(self) -> np.ndarray:
        """Cumulative transitions plus the pair's number: one binary search draws a class. [K³] float64"""
        shares = self.transitions.cumsum(1)
        shares[:, -1] = 1
        return (np.arange(len(shares))[:, None] + shares).ravel()

    @functools.cached_property
    def _cumulative_words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Words by class [L] int32, cumulative p(w | class) plus the class [L] float64, class starts [K + 1]."""
        order = np.argsort(self.class_of, kind="stable")
        starts = np.concatenate([[0], np.bincount(self.class_of).cumsum()])
        return order.astype(np.int32), self.in_class[order].cumsum(), starts

    def words_of(self, indices: np.ndarray) -> list[str]:
        """Return distinct spellings: syllables that number the word, fewer for frequent words, and an ending per class.

        A syllable begins with a consonant and an ending with a vowel, so distinct pairs give distinct strings.
        """
        endings = [numeral(number, ENDINGS) for number in range(self.classes)]
        classes = self.class_of[indices].tolist()
        return [numeral(word, SYLLABLES) + endings[c] for word, c in zip(indices.tolist(), classes, strict=True)]


def numeral(number: int, digits: list[str]) -> str:
    """Return the string of a number: all strings of one digit come first, then all of two digits, and so on."""
    text = ""
    while number >= 0:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
        number -= 1
    return text
