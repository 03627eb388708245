"""Outside judge of generated text: a Kneser-Ney 5-gram over the training words. A alphabet size, L lexicon size."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.data.corpus import Corpus
from bench.data.vocabulary import Vocabulary
from bench.models.kneser_ney import KneserNey

ORDER = 5

MOST_SYMBOLS = 6206  # alphabet: codes of 5-grams have 63 bits, and 6207^5 < 2^63

ROWS = 256  # contexts whose distributions are computed at once; bounds memory


class Judge:
    """Perplexity of words under an interpolated Kneser-Ney 5-gram counted on the training split.

    The alphabet has at most `MOST_SYMBOLS` symbols: the most frequent words, and one symbol for all other words, which
    share its probability in proportion to their training count + 1; a word that the lexicon lacks has count 0.
    So every word has a probability, and texts of models with different vocabularies compare.

    Args:
        corpus: corpus whose training split is counted.
        index: lexicon index of each word.
    """

    def __init__(self, corpus: Corpus, index: Mapping[str, int]):
        self.index = index
        self.vocabulary = Vocabulary(corpus, min(MOST_SYMBOLS, int((corpus.counts > 0).sum())))
        documents = [self.vocabulary.encode(words).astype(np.int64) for words in corpus.train.documents()]
        self.model = KneserNey(documents, len(self.vocabulary), ORDER)
        rare = self.vocabulary.ids == self.vocabulary.unk  # [L]
        counts = np.append(np.where(rare, corpus.counts + 1, 0), 1)  # the last entry: a word that the lexicon lacks
        self.log_share = np.log(counts.clip(1) / counts.sum())  # [L + 1], read for rare words only

    def perplexity(self, prompts: Sequence[Sequence[str]], texts: Sequence[Sequence[str]]) -> float | None:
        """Return exp(mean −log p) of the words of the texts, each after its prompt; None if there are no words."""
        codes, words = [], []
        for prompt, text in zip(prompts, texts, strict=True):
            lexicon = np.array([self.index.get(word, -1) for word in (*prompt, *text)], np.int64)
            symbols = np.append(self.vocabulary.ids, self.vocabulary.unk)[lexicon].astype(np.int64)
            codes.append(self.model.context_codes(symbols, ORDER - 1)[len(prompt) :])
            words.append(np.stack([symbols, lexicon])[:, len(prompt) :])
        contexts, (symbols, lexicon) = np.concatenate(codes), np.concatenate(words, 1)
        if not len(contexts):
            return None
        log_p = np.empty(len(contexts))
        for start in range(0, len(contexts), ROWS):
            block = slice(start, start + ROWS)
            rows = self.model.probabilities(contexts[block])
            log_p[block] = np.log(rows[np.arange(len(rows)), symbols[block]])
        log_p += np.where(symbols == self.vocabulary.unk, self.log_share[lexicon], 0)
        return float(np.exp(-log_p.mean()))
