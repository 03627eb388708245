"""Corpus: documents of words over one lexicon, in three splits. Every system reads the same words.

Sizes: N words, D documents, L types in the lexicon.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.core.errors import SettingError
from bench.data.markov_language import Language
from bench.data.words import UNK, Document

LEAST_OF_A_DOCUMENT = 200  # words; a limit that leaves less of each document takes fewer documents


@dataclass(frozen=True)
class Text:
    """Documents end to end: document d is `words[starts[d]:starts[d + 1]]`."""

    words: np.ndarray  # [N] int32, indices into the lexicon
    starts: np.ndarray  # [D + 1] int64
    raw_bytes: np.ndarray | None = None  # [N] int64, UTF-8 bytes of the owner's text per word; None if unknown

    def __len__(self) -> int:
        return len(self.words)

    def documents(self) -> list[np.ndarray]:
        """Return D arrays of lexicon indices."""
        return np.split(self.words, self.starts[1:-1])

    def head(self, limit: int | None) -> "Text":
        """Return about `limit` words: the same share of every document, or of evenly chosen ones if they are short.

        A document is cut at its end, so that each word keeps its history. None cuts nothing.
        """
        if limit is None or limit >= len(self):
            return self
        lengths = np.diff(self.starts)
        least = min(LEAST_OF_A_DOCUMENT, len(self) / len(lengths))
        count = min(len(lengths), max(1, int(limit / least)))
        chosen = np.linspace(0, len(lengths) - 1, count).astype(int)
        share = min(1.0, limit / int(lengths[chosen].sum()))
        kept = [max(1, int(length * share)) for length in lengths[chosen].tolist()]
        positions = np.concatenate(
            [np.arange(start, start + length) for start, length in zip(self.starts[chosen], kept, strict=True)]
        )
        return Text(
            self.words[positions],
            np.cumsum([0, *kept], dtype=np.int64),
            None if self.raw_bytes is None else self.raw_bytes[positions],
        )


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three splits over one lexicon, whose types fall by training frequency (ties: alphabetical)."""

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
        numbers = np.arange(len(self.lexicon)) if self.language is None else self.language_words
        words_of = self.words_of if self.language is None else self.language.words_of
        texts = {"train": train, "validation": self.validation, "test": self.test}
        splits = {split: [numbers[each] for each in text.documents()] for split, text in texts.items()}
        return assemble_corpus(
            self.name, splits, words_of, self.language, origin=self.origin, raw_bytes=self.test.raw_bytes
        )

    def limited(self, *, validation: int | None, test: int | None) -> "Corpus":
        """Return the corpus with about this number of words to evaluate on, and the same training text."""
        return replace(self, validation=self.validation.head(validation), test=self.test.head(test))

    def fingerprint(self, split: str) -> str:
        """Return the sha256 of one split's words; a cache of that split refers to it."""
        text: Text = getattr(self, split)
        sha256 = hashlib.sha256(text.words.tobytes() + text.starts.tobytes())
        sha256.update("\n".join(self.lexicon).encode("utf-8", "surrogatepass"))
        return sha256.hexdigest()

    def words_of(self, indices: Iterable[int]) -> list[str]:
        """Return the words of lexicon indices."""
        return [self.lexicon[index] for index in indices]


def concatenate(documents: Sequence[np.ndarray]) -> Text:
    """Return documents of lexicon indices as one Text."""
    starts = np.cumsum([0] + [len(document) for document in documents], dtype=np.int64)
    words = np.concatenate(documents) if documents else np.empty(0)
    return Text(words.astype(np.int32), starts)


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
    test = [document for document in splits["test"] if document]
    known = bool(test) and all(isinstance(document, Document) for document in test)
    raw_bytes = np.concatenate([document.raw_bytes for document in test]) if known else None
    return assemble_corpus(
        name, numbered, lambda numbers: [words[number] for number in numbers], origin=origin, raw_bytes=raw_bytes
    )


def assemble_corpus(
    name: str,
    splits: dict[str, list[np.ndarray]],
    words_of: Callable[[np.ndarray], list[str]],
    language: Language | None = None,
    *,
    origin: str,
    raw_bytes: np.ndarray | None = None,
) -> Corpus:
    """Return the Corpus of documents of word numbers by split; the lexicon holds the numbers that occur.

    Types fall by training frequency (ties: alphabetical). `<unk>` in the text is no type of its own frequency: it
    comes last, so that no vocabulary gives it an id beside the unknown word's.

    Args:
        words_of: numbers -> words.
        language: the language whose words the numbers are, if known.
        origin: how the splits came about.
        raw_bytes: UTF-8 bytes of the owner's text per word of the test split, if known.

    Raises:
        SettingError: a split holds no word.
    """
    texts = {
        split: concatenate([document for document in documents if len(document)]) for split, documents in splits.items()
    }
    for split, text in texts.items():
        if not len(text):
            raise SettingError("corpus", f"{name} has no words in its {split} split; it needs a longer text")
    numbers = np.unique(np.concatenate([np.unique(text.words) for text in texts.values()]))
    counts = np.bincount(texts["train"].words, minlength=numbers[-1] + 1)[numbers]
    spellings = words_of(numbers)
    order = np.array(sorted(range(len(numbers)), key=lambda i: (spellings[i] == UNK, -counts[i], spellings[i])))
    lexicon = [spellings[i] for i in order]
    index = np.empty(numbers[-1] + 1, np.int32)
    index[numbers[order]] = np.arange(len(order))
    texts = {split: replace(text, words=index[text.words]) for split, text in texts.items()}
    texts["test"] = replace(texts["test"], raw_bytes=raw_bytes)
    digest = hashlib.sha256("\n".join(lexicon).encode("utf-8", "surrogatepass"))
    for split in ("train", "validation", "test"):
        digest.update(texts[split].words.tobytes() + texts[split].starts.tobytes())
    known = {} if language is None else {"language": language, "language_words": numbers[order]}
    return Corpus(name, lexicon, counts[order], digest=digest.hexdigest(), origin=origin, **texts, **known)
