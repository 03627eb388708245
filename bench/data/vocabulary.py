"""Words <-> ids by falling training frequency.

L lexicon types, V ids, N words.
"""

import numpy as np

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, Text
from bench.data.words import UNK


class Vocabulary:
    """The `size` - 1 most frequent words and `<unk>`, which replaces every other word and has their counts together.

    Ids fall by training count, `<unk>` where its count puts it (first among equals): log-uniform sampling and the
    cutoffs of adaptive softmax require this order. A `<unk>` in the text is replaced too, whatever its count.

    Args:
        corpus: the corpus whose training split is counted.
        size: V, `<unk>` included; between 2 and the number of types in the training split, so that `<unk>` has counts.
            None is that number.

    Raises:
        SettingError: the corpus has no vocabulary of this size.
    """

    def __init__(self, corpus: Corpus, size: int | None):
        types = int((corpus.counts > 0).sum())
        if types < 2:
            problem = f"{corpus.name} trains on {types} distinct words"
            raise SettingError("corpus", f"{problem}; give a longer text, or raise corpus.train_words (null: all)")
        size = types if size is None else size
        if not isinstance(size, int) or not 2 <= size <= types:
            problem = f"{size} is not a whole number from 2 to {types}, the types in {corpus.name}'s training text"
            remedy = f"raise corpus.train_words (null: all of the split) above the {len(corpus.train):,} words read now"
            raise SettingError("vocabulary.size", f"{problem}; give another size, or {remedy}")
        counts = corpus.counts
        unk_count = counts[size - 1 :].sum()
        self.unk = int((counts[: size - 1] > unk_count).sum())
        self.words = [*corpus.lexicon[: self.unk], UNK, *corpus.lexicon[self.unk : size - 1]]
        self.counts = np.insert(counts[: size - 1], self.unk, unk_count)  # [V] int64
        self.ids = np.full(len(corpus.lexicon), self.unk, np.int32)  # [L]
        known = np.arange(size - 1)
        self.ids[: size - 1] = known + (known >= self.unk)
        self.corpus = corpus

    def __len__(self) -> int:
        return len(self.words)

    @property
    def log_unigram(self) -> np.ndarray:
        """Natural logarithm of each id's share of the training words. [V] float32"""
        return np.log(self.counts / self.counts.sum()).astype(np.float32)

    def share(self, chosen: np.ndarray) -> float:
        """Return the share of the training words that are among these ids. [V] bool"""
        return float(self.counts[chosen].sum() / self.counts.sum())

    def encode(self, lexicon_indices: np.ndarray) -> np.ndarray:
        """Return the ids of lexicon indices. [N] -> [N]"""
        return self.ids[lexicon_indices]

    def lexicon_index(self, word: int) -> int:
        """Return the lexicon index of an id; `<unk>` has none.

        Raises:
            KeyError: the id is `<unk>`'s.
        """
        if word == self.unk:
            raise KeyError(UNK)
        return word - (word > self.unk)

    def coverage(self, text: Text) -> float:
        """Return the share of the text's words that have an id of their own."""
        return float((self.encode(text.words) != self.unk).mean())
