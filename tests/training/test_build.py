"""Built cells: what the cells of one process share, and refusals that name the remedy."""

import pytest
import torch
from factories.cells import settings

from bench.core.errors import SettingError
from bench.models.causal_lm_builders import learned_pieces
from bench.targets.tables import Targets
from bench.training.build import build_cell, limited_corpus, make_evaluation_data, make_targets

CACHES = (limited_corpus, make_evaluation_data, make_targets, learned_pieces)


def test_cells_of_one_vocabulary_size_share_texts_and_speller(tmp_path):
    one, other = (build_cell(settings(tmp_path, f"system={system}")) for system in ("softmax", "cosine"))
    assert one.evaluation_data is other.evaluation_data
    larger = build_cell(settings(tmp_path, "system=softmax", "vocabulary.size=150"))
    assert larger.evaluation_data is not one.evaluation_data
    assert larger.evaluation_data.test is one.evaluation_data.test


def test_change_of_a_head_s_table_does_not_reach_the_targets_of_the_next_cell(tmp_path):
    first = build_cell(settings(tmp_path, "system=mse"))
    expected = first.model.head.table.clone()
    first.model.head.table.zero_()  # as loading other weights would
    assert torch.equal(build_cell(settings(tmp_path, "system=mse")).model.head.table, expected)


@pytest.mark.parametrize("system", ["cosine", "gpt2"])
def test_weights_at_the_start_are_equal_whether_data_are_shared_or_made_anew(tmp_path, system):
    small = ["system.model.pieces=300", "system.model.width=16"] if system == "gpt2" else []
    cfg = settings(tmp_path, f"system={system}", *small)
    for cache in CACHES:
        cache.cache_clear()
    anew = build_cell(cfg).model.state_dict()
    assert all(cache.cache_info().currsize == 1 for cache in CACHES[:2])
    shared = build_cell(cfg).model.state_dict()
    assert anew.keys() == shared.keys()
    assert all(torch.equal(anew[name], shared[name]) for name in anew)


def test_floor_speller_and_prior_read_as_many_training_words_as_the_budget(tmp_path):
    built = build_cell(settings(tmp_path, "system=ngram"))
    corpus = built.evaluation_data.vocabulary.corpus
    assert built.model.vocabulary.corpus is corpus
    assert 0.9 * 1500 <= len(corpus.train) == corpus.counts.sum() <= 1500
    whole = build_cell(settings(tmp_path, "system=ngram", "corpus.train_words=null"))
    assert len(whole.evaluation_data.vocabulary.corpus.train) > 4000
    larger = build_cell(settings(tmp_path, "system=ngram", "budget.words=1000000"))
    assert len(larger.evaluation_data.vocabulary.corpus.train) > 4000


@pytest.mark.parametrize("words", [120, 1])
def test_budget_with_too_few_types_is_refused_in_one_line_that_names_the_remedy(tmp_path, words):
    with pytest.raises(SettingError) as raised:
        build_cell(settings(tmp_path, "system=softmax", "vocabulary.size=200", f"budget.words={words}"))
    line = str(raised.value)
    assert line.startswith(("vocabulary.size: ", "corpus: ")) and "\n" not in line
    assert "raise corpus.train_words (null: all" in line


def table_of(vocabulary, **options) -> Targets:
    """Return targets as a user's own function may."""
    size, dtype = len(vocabulary) + options.get("more", 0), getattr(torch, options.get("dtype", "float32"))
    rows = torch.randn(size, 8, dtype=dtype)
    rows[0, 0] = options.get("first", 0.0)
    return Targets("own", "type", rows)


@pytest.mark.parametrize("option", ["more=1", "dtype=float64", "first=nan", None])
def test_table_of_an_own_function_is_checked(tmp_path, option):
    function = ["targets._target_=test_build.table_of", *([f"+targets.{option}"] if option else [])]
    cfg = settings(tmp_path, "system=mse", "targets=random", *function)
    if option is None:
        assert build_cell(cfg).model.head.table.shape[1] == 8
    else:
        with pytest.raises(SettingError, match=r"must return bench\.targets\.tables\.Targets with a finite float32"):
            build_cell(cfg)
