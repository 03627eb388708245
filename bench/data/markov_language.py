"""A language whose truth is known: every system can be held against the distribution that its text was drawn from.

A word belongs to one class, and the classes of the two words before choose the next one's:
p(w | history) = T[c2, c1, c(w)] · p(w | c(w)). The words tell their classes, so nothing is latent to the truth, while a
model has to find the classes from the text (or from the spellings, whose endings tell them).
K classes, L types, N words, B documents of a batch.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CHANCE = 0.01  # of a class by its mass, whatever came before: no word is impossible, and the chain forgets its start

BATCH_WORDS = 2**18  # drawn at a time

CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"

SYLLABLES = ["".join(pair) for pair in itertools.product(CONSONANTS, VOWELS)]

ENDINGS = ["".join(pair) for pair in itertools.product(VOWELS, CONSONANTS)]

STATIONARY = 1e-13  # what a step may still move

LANGUAGE, TEXT = 0, 1  # draws of the one never depend on those of the other


@dataclass(frozen=True)
class Language:
    """Words 0 to L − 1, word w about as frequent as 1 / (w + 1); a document begins as after two words of class 0.

    Args:
        types: L.
        classes: K; the first K words are of classes 0 to K − 1, whatever the seed.
        concentration: how much the classes after one pair are like those after any other: low is easy to foretell.
        seed: of classes, transitions and text.
    """

    types: int
    classes: int
    concentration: float
    seed: int

    @functools.cached_property
    def class_of(self) -> np.ndarray:
        """[L] int64; of K words that follow one another in frequency each class has one."""
        rows = np.tile(np.arange(self.classes), (-(-self.types // self.classes), 1))
        rows[1:] = np.random.default_rng((self.seed, LANGUAGE)).permuted(rows[1:], axis=1)
        return rows.ravel()[: self.types]

    @functools.cached_property
    def mass(self) -> np.ndarray:
        """Of each class, were its words as frequent as 1 / rank. [K] float64"""
        zipf = 1 / np.arange(1, self.types + 1)
        return np.bincount(self.class_of, zipf / zipf.sum())

    @functools.cached_property
    def in_class(self) -> np.ndarray:
        """p(w | c(w)). [L] float64"""
        zipf = 1 / np.arange(1, self.types + 1)
        return zipf / np.bincount(self.class_of, zipf)[self.class_of]

    @functools.cached_property
    def transitions(self) -> np.ndarray:
        """p(class | the two classes before), a row a pair: c2 · K + c1. [K², K] float64"""
        random = np.random.default_rng((self.seed, LANGUAGE, self.classes))
        rows = random.dirichlet(self.concentration * self.mass, self.classes**2)
        return (1 - CHANCE) * rows + CHANCE * self.mass

    def contexts(self, words: np.ndarray) -> np.ndarray:
        """The pair before each word of a document: a row of `transitions`. [N] -> [N] int64"""
        before = np.concatenate([[0, 0], self.class_of[words]])
        return before[:-2] * self.classes + before[1:-1]

    def log_probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """log p of every word. [N] -> [N, L] float64"""
        return np.log(self.transitions[contexts])[:, self.class_of] + np.log(self.in_class)

    def nats(self, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """−log p of one word each. [N], [N] -> [N] float64"""
        return -np.log(self.transitions[contexts, self.class_of[words]] * self.in_class[words])

    @functools.cached_property
    def stationary(self) -> np.ndarray:
        """How often each pair of classes stands in a long text. [K²] float64"""
        steps = self.transitions.reshape(self.classes, self.classes, self.classes)
        pairs, moved = np.outer(self.mass, self.mass), np.inf
        while moved > STATIONARY:
            after = np.matmul(pairs.T[:, None], steps.swapaxes(0, 1))[:, 0]  # [c1, c] of [c2, c1] and [c2, c1, c]
            moved, pairs = np.abs(after - pairs).sum(), after / after.sum()
        return pairs.ravel()

    @functools.cached_property
    def entropy_rate_bits(self) -> float:
        """Of a word of a long text, given all before it: of its class, and of the word in its class."""
        of_class = -(self.transitions * np.log2(self.transitions)).sum(1)  # [K²]
        of_word = -np.bincount(self.class_of, self.in_class * np.log2(self.in_class))  # [K]
        return float(self.stationary @ of_class + self.stationary @ self.transitions @ of_word)

    def documents(self, length: int) -> Iterator[np.ndarray]:
        """An endless stream of documents of `length` words, the same ones each time. [length] int32 each"""
        for batch in itertools.count():
            yield from self._batch(np.random.default_rng((self.seed, TEXT, batch)), length)

    def _batch(self, random: np.random.Generator, length: int) -> np.ndarray:
        """[B, length] int32: one step draws the next class of all B documents, and then all words are drawn at once."""
        rows = max(1, BATCH_WORDS // length)
        classes = np.empty((length, rows), np.int64)
        pairs = np.zeros(rows, np.int64)
        for step, chance in zip(classes, random.random((length, rows)), strict=True):
            found = np.searchsorted(self._class_ladder, pairs + chance, side="right") - pairs * self.classes
            step[:] = np.minimum(found, self.classes - 1)  # a sum may round up to the next row
            pairs = pairs % self.classes * self.classes + step
        order, ladder, starts = self._word_ladder
        found = np.searchsorted(ladder, classes + random.random((length, rows)), side="right")
        return order[np.clip(found, starts[classes], starts[classes + 1] - 1)].T.copy()

    @functools.cached_property
    def _class_ladder(self) -> np.ndarray:
        """Pair + share of its row up to each class: one look-up draws a class. [K³] float64"""
        shares = self.transitions.cumsum(1)
        shares[:, -1] = 1
        return (np.arange(len(shares))[:, None] + shares).ravel()

    @functools.cached_property
    def _word_ladder(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Words class by class [L] int32; class + share up to each [L] float64; where a class starts [K + 1]."""
        order = np.argsort(self.class_of, kind="stable")
        starts = np.concatenate([[0], np.bincount(self.class_of).cumsum()])
        return order.astype(np.int32), self.in_class[order].cumsum(), starts

    def spell(self, words: np.ndarray) -> list[str]:
        """Distinct spellings: syllables that number the word, short for frequent ones, and an ending for its class.

        A syllable begins with a consonant and an ending with a vowel, so no two pairs of them make the same string.
        """
        endings = [numeral(number, ENDINGS) for number in range(self.classes)]
        classes = self.class_of[words].tolist()
        return [numeral(word, SYLLABLES) + endings[c] for word, c in zip(words.tolist(), classes, strict=True)]


def numeral(number: int, digits: list[str]) -> str:
    """0, 1, 2 … -> a string each: all of one digit, then all of two, and so on."""
    text = ""
    while number >= 0:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
        number -= 1
    return text
