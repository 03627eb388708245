"""Lines about settings whose figures a reader may take for something else."""

import pytest
from omegaconf import OmegaConf

from bench.data.corpus import build_corpus
from bench.data.vocabulary import Vocabulary
from bench.training.warnings import lines

KNOWN = [f"w{i}" for i in range(20) for _ in range(20 - i)]
NEW = [*KNOWN[:90], *(f"new{i}" for i in range(10))]


def warned(size: int | None = 15, words: int | None = None, prompts: list[str] | None = None) -> list[str]:
    """Return the lines about a text of 210 words of 20 types, and 100 words of validation, ten of which are new."""
    corpus = build_corpus("small", {"train": [KNOWN], "validation": [NEW], "test": [NEW]})
    cfg = {"budget": {"words": words}, "generation": {"prompts": prompts}, "corpus": {"lowercase": True}}
    return list(lines(OmegaConf.create(cfg), Vocabulary(corpus, size)))


@pytest.mark.parametrize(("words", "expected"), [(None, []), (214, []), (420, ["420 words read it 2.0 times"])])
def test_text_that_is_read_again_is_said(words, expected):
    found = warned(words=words)
    assert len(found) == len(expected)
    for line, end in zip(found, expected, strict=True):
        assert line == f"budget.words: the training text has 210 words, so that {end}"


def test_vocabulary_that_leaves_the_spelling_model_without_text_is_said():
    assert warned(size=15) == []
    [line] = warned(size=None)  # `<unk>` replaces the rarest type alone: 1 of 210 words
    assert line.startswith("vocabulary.size: 0.0048 of the training words are unknown, but 0.1 of the validation words")


def test_words_of_a_prompt_that_the_corpus_lacks_are_said():
    [line] = warned(prompts=["w1 zebra w2", "w3"])
    assert line == "generation.prompts: 'w1 zebra w2': words left out, as small lacks them: zebra"
