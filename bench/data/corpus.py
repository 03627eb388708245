"""Corpus: documents of words over one lexicon, in three splits. Every system reads the same words.

Sizes: N words, D documents, L types in the lexicon.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.core.errors import SettingError
from bench.data.markov_language import Language
from bench.data.text import Text, chunks, concatenate
from bench.data.words import UNK, Document


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three splits over one lexicon, whose types fall by training frequency (ties: by hash, see `sort_types`)."""

    name: str
    lexicon: list[str]  # L types; those that training never saw follow, and `<unk>` is the last if the text has it
    counts: np.ndarray  # [L] int64, occurrences in the training split
    train: Text
    validation: Text
    test: Text  # the only split that keeps raw bytes
    digest: str  # sha256 of the words and their splits; a record refers to it
    origin: str = "its own splits"  # how the splits came about
    language: Language | None = None  # the language that the text was drawn from, if known
    language_words: np.ndarray | None = None  # [L] the language's word of each type

    def trained_on(self, words: int | None) -> "Corpus":
        """Return the corpus with about `words` training words, its types counted and ordered by these words alone.

        None cuts nothing.
        """
        train = self.train.head(words)
        if train is self.train:
            return self
        texts = {"train": train, "validation": self.validation, "test": self.test}
        if self.language is None:
            return assemble_corpus(self.name, texts, self.words_of, origin=self.origin)
        numbers = {split: replace(text, words=self.language_words[text.words]) for split, text in texts.items()}
        return assemble_corpus(self.name, numbers, self.language.words_of, self.language, origin=self.origin)

    def limited(self, *, validation: int | None, test: int | None) -> "Corpus":
        """Return the corpus with about this number of words to evaluate on, and the same training text."""
        return replace(self, validation=self.validation.head(validation), test=self.test.head(test))

    def fingerprint(self, split: str) -> str:
        """Return the sha256 of one split's words; a cache of that split refers to it."""
        text: Text = getattr(self, split)
        sha256 = hashlib.sha256()
        hash_text(sha256, text)
        sha256.update(spelt_out(self.lexicon))
        return sha256.hexdigest()

    def words_of(self, indices: Iterable[int]) -> list[str]:
        """Return the words of lexicon indices."""
        return [self.lexicon[index] for index in indices]


def build_corpus(name: str, splits: Mapping[str, Sequence[list[str]]], origin: str = "its own splits") -> Corpus:
    """Return the Corpus of tokenised documents by split.

    Args:
        splits: documents of words; the test split has raw bytes if all its documents are a
            `bench.data.words.Document`.
        origin: how the splits came about.

    Raises:
        SettingError: a split holds no word.
    """
    index: dict[str, int] = {}
    numbered = {
        split: [np.fromiter((index.setdefault(word, len(index)) for word in document), np.int32) for document in texts]
        for split, texts in splits.items()
    }
    words = list(index)
    texts = {split: concatenate([each for each in documents if len(each)]) for split, documents in numbered.items()}
    test = [document for document in splits["test"] if document]
    if test and all(isinstance(document, Document) for document in test):
        texts["test"] = replace(texts["test"], raw_bytes=np.concatenate([document.raw_bytes for document in test]))
    return assemble_corpus(name, texts, lambda numbers: [words[number] for number in numbers], origin=origin)


def assemble_corpus(
    name: str,
    texts: Mapping[str, Text],
    words_of: Callable[[np.ndarray], list[str]],
    language: Language | None = None,
    *,
    origin: str,
) -> Corpus:
    """Return the Corpus of texts of word numbers by split; the lexicon holds the numbers that occur.

    Args:
        texts: no document is empty; the test split may have raw bytes.
        words_of: numbers -> words.
        language: the language whose words the numbers are, if known.
        origin: how the splits came about.

    Raises:
        SettingError: a split holds no word.
    """
    check_not_empty(name, {split: len(text) for split, text in texts.items()})
    most = 1 + max(int(text.words.max()) for text in texts.values())
    counts, occurs = np.zeros(most, np.int64), np.zeros(most, bool)
    for split, text in texts.items():
        for chunk in chunks(len(text)):
            occurs[text.words[chunk]] = True
            if split == "train":
                counts += np.bincount(text.words[chunk], minlength=most)
    numbers = np.flatnonzero(occurs)
    order, lexicon = sort_types(words_of(numbers), counts[numbers])
    index = np.empty(most, np.int32)
    index[numbers[order]] = np.arange(len(order))
    sorted_texts = {split: replace(text, words=index[text.words]) for split, text in texts.items()}
    digest = corpus_digest(lexicon, sorted_texts)
    known = {} if language is None else {"language": language, "language_words": numbers[order]}
    return Corpus(name, lexicon, counts[numbers[order]], digest=digest, origin=origin, **sorted_texts, **known)


def sort_types(words: Sequence[str], counts: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the lexicon's order of types, given their counts in the training split, and the types in this order. [L]

    Types fall by training frequency; those of equal frequency are ordered by a hash of their spelling. A vocabulary
    ends among words of equal count. If these were in alphabetical order, `<unk>` would replace the end of the alphabet,
    and the speller, which is fitted to the replaced words, would expect only such words: 5.6 nats more per unknown word
    at V = 20,000 of 24,541. A `<unk>` in the text comes last whatever its frequency, so that no vocabulary has two ids
    for `<unk>`.
    """
    falling = (-counts).tolist()
    hashes = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    order = np.array(sorted(range(len(words)), key=lambda i: (words[i] == UNK, falling[i], hashes[i], words[i])))
    return order, [words[i] for i in order.tolist()]


def corpus_digest(lexicon: list[str], texts: Mapping[str, Text]) -> str:
    """Return the sha256 of a lexicon and the three splits' words and document starts."""
    sha256 = hashlib.sha256(spelt_out(lexicon))
    for split in ("train", "validation", "test"):
        hash_text(sha256, texts[split])
    return sha256.hexdigest()


def hash_text(sha256: "hashlib._Hash", text: Text) -> None:
    """Add a text's words and document starts to a hash, without a copy of a text that is mapped from disk."""
    for chunk in chunks(len(text)):
        sha256.update(np.ascontiguousarray(text.words[chunk]))
    sha256.update(np.ascontiguousarray(text.starts))


def spelt_out(lexicon: Sequence[str]) -> bytes:
    """Return the types in UTF-8, a line each."""
    return "\n".join(lexicon).encode("utf-8", "surrogatepass")


def check_not_empty(name: str, sizes: Mapping[str, int]) -> None:
    """Check that every split has words.

    Raises:
        SettingError: a split holds no word.
    """
    for split, size in sizes.items():
        if not size:
            raise SettingError("corpus", f"{name} has no words in its {split} split; it needs a longer text")
