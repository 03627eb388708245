"""Counted vectors against counts in plain loops and against NumPy's SVD.

V vocabulary size, N words.
"""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from numpy.testing import assert_allclose
from omegaconf import OmegaConf
from scipy import sparse

from bench.core.errors import SettingError
from bench.data.corpus import build_corpus
from bench.data.vocabulary import Vocabulary
from bench.targets import ppmi as module
from bench.targets.ppmi import cooccurrences, factorise, positive_pmi, ppmi
from bench.targets.tables import Targets

SETTINGS = {"name": "ppmi", "level": "type", "dimension": 8, "window": 3, "shift": 1.0, "unit_length": False}


def counted_slowly(vocabulary: Vocabulary, window: int) -> np.ndarray:
    """Count pairs of words of one document by two loops. -> [V, V]"""
    counts: Counter[tuple[int, int]] = Counter()
    for document in vocabulary.corpus.train.documents():
        ids = vocabulary.encode(document).tolist()
        for i, word in enumerate(ids):
            for j in range(max(0, i - window), min(len(ids), i + window + 1)):
                if j != i:
                    counts[word, ids[j]] += 1
    table = np.zeros((len(vocabulary), len(vocabulary)))
    for pair, count in counts.items():
        table[pair] = count
    return table


@pytest.mark.parametrize("window", [1, 4])
def test_counts_equal_those_of_two_loops(vocabulary, window):
    text = vocabulary.corpus.train
    counts = cooccurrences(vocabulary.encode(text.words), text, len(vocabulary), window).toarray()
    assert_allclose(counts, counted_slowly(vocabulary, window), rtol=0, atol=0)
    assert counts.sum() > len(text)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_positive_pmi_follows_the_formula_with_smoothed_contexts(shift):
    counts = np.array([[4.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 10.0]])
    total, words, contexts = counts.sum(), counts.sum(1), counts.sum(0) ** 0.75
    expected = np.zeros_like(counts)
    for w, c in zip(*counts.nonzero(), strict=True):
        pmi = math.log((counts[w, c] / total) / (words[w] / total * contexts[c] / contexts.sum()))
        expected[w, c] = max(0.0, pmi - math.log(shift))
    assert_allclose(positive_pmi(sparse.csr_array(counts), shift).toarray(), expected, atol=1e-12)
    assert (expected > 0).any() == (shift == 1.0)


def test_factors_are_those_of_numpys_svd_up_to_sign():
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.normal(size=(30, 30)))[0] for _ in range(2))
    values = 2.0 ** -np.arange(30)
    rows = factorise(sparse.csr_array(left * values @ right.T), 5)
    assert_allclose(np.abs(rows), np.abs(left[:, :5] * np.sqrt(values[:5])), atol=1e-6)


def test_table_is_the_same_from_the_cache_and_counted_again(vocabulary, tmp_path, monkeypatch):
    first, again = (ppmi(vocabulary=vocabulary, cache_dir=str(tmp_path / name), **SETTINGS) for name in ("a", "b"))
    assert torch.equal(first.table, again.table)
    monkeypatch.setattr(module, "cooccurrences", lambda *_: pytest.fail("counted although cached"))
    assert torch.equal(ppmi(vocabulary=vocabulary, cache_dir=str(tmp_path / "a"), **SETTINGS).table, first.table)


def test_words_with_the_same_neighbours_have_similar_rows(tmp_path):
    """Nouns follow `the`, verbs follow `we`, and no word says more."""
    random = np.random.default_rng(0)
    documents = [[("the", "we")[verb], f"{'nv'[verb]}{random.integers(10)}"] for verb in (0, 1) for _ in range(400)]
    corpus = build_corpus("pairs", {"train": documents, "validation": documents[:20], "test": documents[:20]})
    table = ppmi(
        vocabulary=(vocabulary := Vocabulary(corpus, 22)),
        cache_dir=str(tmp_path),
        **SETTINGS | {"dimension": 4, "window": 1, "unit_length": True},
    ).table
    cosines = table @ table.T
    nouns, verbs = (
        [i for i, word in enumerate(vocabulary.words) if word[0] == kind and word[1].isdigit()] for kind in "nv"
    )
    assert len(nouns) + len(verbs) == 19  # one word is `<unk>`
    within = torch.cat([cosines[group][:, group].flatten() for group in (nouns, verbs)])
    assert within.min() > 0.99 and cosines[nouns][:, verbs].abs().max() < 0.01


def test_word_without_pmi_above_the_shift_has_the_mean_of_the_other_rows(tmp_path, capsys):
    """`the` stands beside every noun alike, so that its PMI is low; a noun stands beside its own verb."""
    documents = [["the", f"n{i}", f"v{i}"] for i in range(10) for _ in range(20)]
    corpus = build_corpus("pairs", {"train": documents, "validation": documents[:20], "test": documents[:20]})
    vocabulary = Vocabulary(corpus, 21)
    made = ppmi(
        vocabulary=vocabulary,
        cache_dir=str(tmp_path),
        **SETTINGS | {"dimension": 20, "window": 1, "shift": 3.0, "unit_length": True},
    )
    assert made.table.norm(dim=1).numpy() == pytest.approx(1.0)
    the = list(vocabulary.words).index("the")
    assert made.table[[i for i in range(21) if i != the]].unique(dim=0).shape[0] == 20
    line = "targets.shift: 1 of 21 words (33.33% of the training words) have no row, as no PMI of theirs is above log 3"
    assert line in capsys.readouterr().err


def test_shift_that_leaves_no_pmi_is_refused_in_one_line(vocabulary, tmp_path):
    with pytest.raises(SettingError, match=r"^targets.shift: no pair of words has a PMI above log 10000; lower it$"):
        ppmi(vocabulary=vocabulary, cache_dir=str(tmp_path), **SETTINGS | {"shift": 1e4})


def test_configuration_builds_rows_of_unit_length(vocabulary, tmp_path, pytestconfig):
    group = OmegaConf.load(pytestconfig.rootpath / "conf" / "targets" / "ppmi.yaml")
    group.dimension = 16
    made: Targets = instantiate(group, vocabulary=vocabulary, cache_dir=str(tmp_path))
    assert (made.name, made.level, made.table.shape) == ("ppmi", "type", (len(vocabulary), 16))
    torch.testing.assert_close(made.table.norm(dim=1), torch.ones(len(vocabulary)))


def test_more_components_than_words_less_one_are_refused_in_one_line(vocabulary, tmp_path):
    line = r"^targets.dimension: 200 components need dimension < 200 = V; lower it$"
    with pytest.raises(SettingError, match=line):
        ppmi(vocabulary=vocabulary, cache_dir=str(tmp_path), **SETTINGS | {"dimension": 200})
