"""Documents of words over one lexicon, split by document: what every other module calls a text.

Every system reads the same words. One tokenisation for all: lowercased (by default), then runs of letters and
digits (inner apostrophes kept: "don't") and single punctuation marks; white space separates and is dropped.
Sizes: N words, D documents, L types in the lexicon.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from bench.core.errors import SettingError
from bench.data.markov_language import Language

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")

SPLIT_SEED = 20220708  # fixed: runs of all seeds share the same splits

LEAST_OF_A_DOCUMENT = 200  # words; a limit that would leave less of each takes fewer documents

Document = TypeVar("Document", bound=Sized)

SHARES = {"validation": 0.05, "test": 0.20}  # of the words; intervals need many test documents


@dataclass(frozen=True)
class Text:
    """Documents laid end to end: document d is `words[starts[d]:starts[d + 1]]`."""

    words: np.ndarray  # [N] int32, indices into the lexicon
    starts: np.ndarray  # [D + 1] int64

    def __len__(self) -> int:
        return len(self.words)

    def documents(self) -> list[np.ndarray]:
        """D arrays of lexicon indices."""
        return np.split(self.words, self.starts[1:-1])

    def head(self, limit: int | None) -> "Text":
        """About `limit` words: of every document the same share, or of every so many-th where documents are short.

        None cuts nothing. A document is read from its start, so that each word keeps its history.
        """
        if limit is None or limit >= len(self):
            return self
        documents = self.documents()
        least = min(LEAST_OF_A_DOCUMENT, len(self) / len(documents))
        count = min(len(documents), max(1, int(limit / least)))
        kept = [documents[i] for i in np.linspace(0, len(documents) - 1, count).astype(int)]
        share = min(1.0, limit / sum(map(len, kept)))
        return concatenate([document[: max(1, int(len(document) * share))] for document in kept])


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three splits over one lexicon, whose types fall by training frequency (ties: alphabetical)."""

    name: str
    lexicon: list[str]  # L types; those that training never saw come last
    counts: np.ndarray  # [L] int64, occurrences in the training split
    train: Text
    validation: Text
    test: Text
    digest: str  # sha256 of the words and their splits: what a record refers to
    language: Language | None = None  # that it was drawn from, where known
    language_words: np.ndarray | None = None  # [L] the language's word of each type

    def trained_on(self, words: int | None) -> "Corpus":
        """The same with about so many words to train on: types are counted and ordered anew, by what is left of them.

        None cuts nothing.
        """
        train = self.train.head(words)
        if train is self.train:
            return self
        numbers = np.arange(len(self.lexicon)) if self.language is None else self.language_words
        spell = self.spell if self.language is None else self.language.spell
        texts = {"train": train, "validation": self.validation, "test": self.test}
        splits = {split: [numbers[each] for each in text.documents()] for split, text in texts.items()}
        return assemble_corpus(self.name, splits, spell, self.language)

    def limited(self, *, validation: int | None, test: int | None) -> "Corpus":
        """The same training text with about so many words to evaluate on."""
        return replace(self, validation=self.validation.head(validation), test=self.test.head(test))

    def fingerprint(self, split: str) -> str:
        """sha256 of one split's words: what a cache of that split refers to."""
        text: Text = getattr(self, split)
        found = hashlib.sha256(text.words.tobytes() + text.starts.tobytes())
        found.update("\n".join(self.lexicon).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def spell(self, words: Iterable[int]) -> list[str]:
        """Lexicon indices -> words."""
        return [self.lexicon[word] for word in words]


def tokenize(text: str, lowercase: bool = True) -> list[str]:
    """A string -> its words."""
    return WORD.findall(text.lower() if lowercase else text)


def concatenate(documents: Sequence[np.ndarray]) -> Text:
    """Documents of lexicon indices -> one Text."""
    starts = np.cumsum([0] + [len(document) for document in documents], dtype=np.int64)
    words = np.concatenate(documents) if documents else np.empty(0)
    return Text(words.astype(np.int32), starts)


def build_corpus(name: str, splits: dict[str, list[list[str]]]) -> Corpus:
    """Tokenised documents by split -> a Corpus.

    Raises:
        SettingError: a split holds no word.
    """
    index: dict[str, int] = {}
    numbered = {
        split: [np.fromiter((index.setdefault(word, len(index)) for word in document), np.int32) for document in texts]
        for split, texts in splits.items()
    }
    words = list(index)
    return assemble_corpus(name, numbered, lambda numbers: [words[number] for number in numbers])


def assemble_corpus(
    name: str,
    splits: dict[str, list[np.ndarray]],
    spell: Callable[[np.ndarray], list[str]],
    language: Language | None = None,
) -> Corpus:
    """Documents of numbers by split, and how numbers are spelt -> a Corpus; numbers that occur nowhere have no type.

    Args:
        language: whose words the numbers are, where one is known.

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
    seen = np.bincount(texts["train"].words, minlength=numbers[-1] + 1)[numbers]
    spellings = spell(numbers)
    order = np.array(sorted(range(len(numbers)), key=lambda i: (-seen[i], spellings[i])))
    lexicon = [spellings[i] for i in order]
    index = np.empty(numbers[-1] + 1, np.int32)
    index[numbers[order]] = np.arange(len(order))
    texts = {split: replace(text, words=index[text.words]) for split, text in texts.items()}
    digest = hashlib.sha256("\n".join(lexicon).encode("utf-8", "surrogatepass"))
    for split in ("train", "validation", "test"):
        digest.update(texts[split].words.tobytes() + texts[split].starts.tobytes())
    known = {} if language is None else {"language": language, "language_words": numbers[order]}
    return Corpus(name, lexicon, seen[order], digest=digest.hexdigest(), **texts, **known)


def split_by_document(documents: Sequence[Document]) -> dict[str, list[Document]]:
    """Whole documents in a fixed random order: validation takes 5 % of the words, test 20 %, training the rest.

    Raises:
        SettingError: fewer than three documents.
    """
    documents = [document for document in documents if len(document)]
    if len(documents) < 3:
        raise SettingError(
            "corpus.path",
            f"{len(documents)} documents cannot be split by document; give a folder of at least 3 files, "
            "or a file whose documents are separated by blank lines",
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(len(documents))
    total = sum(map(len, documents))
    splits: dict[str, list[Document]] = {"validation": [], "test": [], "train": []}
    for left, (split, share) in zip((2, 1), SHARES.items(), strict=True):  # documents that the splits after it need
        while len(order) > left and sum(map(len, splits[split])) < share * total:
            splits[split].append(documents[order[0]])
            order = order[1:]
    splits["train"] = [documents[i] for i in order]
    return splits
