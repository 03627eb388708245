"""Documents of words over one lexicon, split by document: what every other module calls a text.

Every system reads the same words. One tokenisation for all: lowercased (by default), then runs of letters and
digits (inner apostrophes kept: "don't") and single punctuation marks; white space separates and is dropped.
Sizes: N words, D documents, L types in the lexicon.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.errors import SettingError

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
SPLIT_SEED = 20220708  # fixed: runs of all seeds share the same splits
LEAST_OF_A_DOCUMENT = 200  # words; a limit that would leave less of each takes fewer documents
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
        return lay([document[: max(1, int(len(document) * share))] for document in kept])


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


def lay(documents: Sequence[np.ndarray]) -> Text:
    """Documents of lexicon indices -> one Text."""
    starts = np.cumsum([0] + [len(document) for document in documents], dtype=np.int64)
    words = np.concatenate(documents) if documents else np.empty(0)
    return Text(words.astype(np.int32), starts)


def build(name: str, splits: dict[str, list[list[str]]]) -> Corpus:
    """Tokenised documents by split -> a Corpus.

    Raises:
        SettingError: a split holds no word.
    """
    for split, documents in splits.items():
        if not any(documents):
            raise SettingError("corpus", f"{name} has no words in its {split} split; it needs a longer text")
    seen = Counter(word for document in splits["train"] for word in document)
    other = {word for split in ("validation", "test") for document in splits[split] for word in document}
    lexicon = sorted(seen.keys() | other, key=lambda word: (-seen[word], word))
    index = {word: i for i, word in enumerate(lexicon)}
    texts = {
        split: lay([np.fromiter((index[word] for word in document), np.int32) for document in documents if document])
        for split, documents in splits.items()
    }
    digest = hashlib.sha256("\n".join(lexicon).encode("utf-8", "surrogatepass"))
    for split in ("train", "validation", "test"):
        digest.update(texts[split].words.tobytes() + texts[split].starts.tobytes())
    counts = np.fromiter((seen[word] for word in lexicon), np.int64)
    return Corpus(name, lexicon, counts, digest=digest.hexdigest(), **texts)


def split_by_document(documents: list[list[str]]) -> dict[str, list[list[str]]]:
    """Whole documents in a fixed random order: validation takes 5 % of the words, test 20 %, training the rest.

    Raises:
        SettingError: fewer than three documents.
    """
    documents = [document for document in documents if document]
    if len(documents) < 3:
        raise SettingError(
            "corpus.path",
            f"{len(documents)} documents cannot be split by document; give a folder of at least 3 files, "
            "or a file whose documents are separated by blank lines",
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(len(documents))
    total = sum(map(len, documents))
    splits: dict[str, list[list[str]]] = {"validation": [], "test": [], "train": []}
    for left, (split, share) in zip((2, 1), SHARES.items(), strict=True):  # documents that the splits after it need
        while len(order) > left and sum(map(len, splits[split])) < share * total:
            splits[split].append(documents[order[0]])
            order = order[1:]
    splits["train"] = [documents[i] for i in order]
    return splits
