"""Synthetic Markov language whose true distribution is known."""

import functools
import itertools

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, assemble_corpus
from bench.data.markov_language import Language
from bench.data.splits import AT_RANDOM, split_by_document
from bench.data.text import concatenate

# bounds: indices are int32, and transitions are classes³ numbers
MOST_TYPES, MOST_CLASSES, MOST_WORDS = 10_000_000, 128, 200_000_000


@functools.cache
def synthetic(types: int, words: int, classes: int, concentration: float, seed: int, document_words: int) -> Corpus:
    """Return a text drawn from a `Language`; a longer text begins with the same documents.

    The corpus carries the language, and so the true distribution.

    Args:
        words: number of words of all splits together, in whole documents.

    Raises:
        SettingError: a setting out of bounds, or a text that cannot be split by document.
    """
    whole("types", types, 2, MOST_TYPES)
    whole("classes", classes, 1, min(types, MOST_CLASSES))
    whole("document_words", document_words, 1, MOST_WORDS // 3)
    whole("words", words, 3 * document_words, MOST_WORDS)  # at least one document per split
    whole("seed", seed, 0, MOST_WORDS)
    if not isinstance(concentration, int | float) or not 1e-3 <= concentration <= 1e6:
        problem = f"{concentration} is not a number between 0.001 and 1,000,000"
        raise SettingError("corpus.concentration", f"{problem}; give such a number")
    language = Language(types, classes, float(concentration), seed)
    documents = list(itertools.islice(language.documents(document_words), words // document_words))
    texts = {split: concatenate(each) for split, each in split_by_document(documents).items()}
    return assemble_corpus("synthetic", texts, language.words_of, language, origin=AT_RANDOM)


def whole(setting: str, value: object, least: int, most: int) -> None:
    """Refuse a setting of the synthetic corpus that is no whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        problem = f"{value} is not a whole number between {least:,} and {most:,}"
        raise SettingError(f"corpus.{setting}", f"{problem}; give such a number")
