"""Tables against means by hand, and the transforms against what they claim."""

import numpy as np
import pytest
import torch
from factories.encoder import tiny_bert, tiny_corpus
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bench.core.errors import SettingError
from bench.data.vocabulary import Vocabulary
from bench.targets import tables

READING = {"context": "causal", "window": 8, "layer": -1, "pooling": "mean", "special_tokens": "cls"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(tiny_corpus(), 5)


@pytest.fixture
def bert(place, vocabulary):
    defaults = {
        "name": "bert",
        "level": "token",
        "centre": False,
        "whiten": False,
        "normalise": False,
        "precision": "fp32",
        **READING,
    }

    def make(**settings) -> tables.Targets:
        given = {"vocabulary": vocabulary, "encoder": str(place), "cache_dir": str(place.parent)}
        return tables.bert(**given, **defaults | settings)

    return make


def test_a_row_is_the_mean_over_its_words_occurrences(bert, vocabulary):
    made = bert()
    ids = vocabulary.encode(vocabulary.corpus.train.words)
    vectors = np.array(made.encoder.encode(vocabulary.corpus, "train").vectors, np.float64)
    for word in range(5):
        np.testing.assert_allclose(made.table[word], vectors[ids == word].mean(0), atol=1e-6)


def test_the_row_of_unk_is_the_mean_over_the_words_it_replaces(bert, vocabulary):
    corpus, made = vocabulary.corpus, bert()
    replaced = [word not in vocabulary.words for word in corpus.words_of(corpus.train.words)]
    assert sum(replaced) == vocabulary.counts[vocabulary.unk]
    vectors = np.array(made.vectors, np.float64)
    np.testing.assert_allclose(made.table[vocabulary.unk], vectors[replaced].mean(0), atol=1e-6)


def test_centring_subtracts_the_mean_of_the_training_words(bert, vocabulary):
    plain, centred = bert(), bert(centre=True)
    mean = torch.from_numpy(np.array(plain.vectors, np.float32)).mean(0)
    torch.testing.assert_close(centred.table, plain.table - mean, atol=1e-5, rtol=0)
    weights = torch.from_numpy(vocabulary.counts).float()
    torch.testing.assert_close(weights @ centred.table, torch.zeros(16), atol=1e-4, rtol=0)
    everywhere = np.arange(len(vocabulary.corpus.train))
    torch.testing.assert_close(centred.at(everywhere).mean(0), torch.zeros(16), atol=1e-5, rtol=0)


def test_whitened_vectors_covary_as_the_identity(bert):
    raw = torch.from_numpy(np.array(bert().vectors)).double()
    variances = torch.linalg.eigvalsh(torch.cov(raw.T, correction=0))
    flat = int((variances < tables.FLAT * variances.mean()).sum())
    assert 1 <= flat <= 3  # a layer norm fixes the sum of the columns at least
    white = bert(whiten=True, centre=True).at(np.arange(len(raw))).double()
    expected = torch.tensor([0.0] * flat + [1.0] * (16 - flat)).double()
    torch.testing.assert_close(torch.linalg.eigvalsh(white.T @ white / len(white)), expected, atol=1e-2, rtol=0)


def test_whitening_is_the_inverse_square_root_without_flat_directions():
    covariance = torch.tensor([[4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1e-3]], dtype=torch.float64)
    expected = torch.diag(torch.tensor([0.5, 0.5**0.5, 0.0]))
    torch.testing.assert_close(tables.whitening(covariance), expected)


@pytest.mark.parametrize("level", ["token", "type"])
def test_vectors_are_kept_only_at_level_token(bert, level):
    made = bert(level=level, centre=True, whiten=True)
    assert made.level == level
    assert (made.vectors is None) == (level == "type")
    assert made.weights_sha256 == made.encoder.weights_sha256
    if level == "token":
        positions = np.array([[0, 5], [7, 7]])
        assert torch.equal(made.at(positions), made.transform(np.array(made.vectors)[positions]))


def test_encoding_is_timed_once(bert):
    assert bert().encode_seconds == bert(level="type").encode_seconds > 0


def test_separate_encoder_gives_the_vectors_of_the_targets(bert, place, vocabulary):
    settings = {"encoder": str(place), "precision": "fp32", "level": "type", **READING}
    encoder = tables.make_encoder(settings, str(place.parent))
    one, other = (reader.encode(vocabulary.corpus, "validation").vectors for reader in (encoder, bert().encoder))
    assert one.filename == other.filename
    with pytest.raises(SettingError, match=r"^inputs: .*targets=bert$"):
        tables.make_encoder({"level": "type"}, str(place.parent))


def test_targets_of_the_configuration_are_built(place, vocabulary, pytestconfig):
    group = OmegaConf.load(pytestconfig.rootpath / "conf" / "targets" / "bert.yaml")
    group.encoder = str(place)
    made = instantiate(group, vocabulary=vocabulary, cache_dir=str(place.parent))
    assert made.name == "bert"
    assert made.table.shape == (5, 16)


def test_bad_settings_are_refused(bert):
    with pytest.raises(SettingError, match=r"^targets.level: sentence is no level; give token or type$"):
        bert(level="sentence")


def test_normalised_rows_and_occurrences_have_unit_length(bert):
    made = bert(normalise=True)
    torch.testing.assert_close(made.table.norm(dim=-1), torch.ones(5))
    torch.testing.assert_close(made.at(np.arange(4)).norm(dim=-1), torch.ones(4))
