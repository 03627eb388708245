"""Fixtures of the diagnosis: a synthetic language, and its true distribution as a model."""

import pytest

from bench.evaluation.score import EvaluationData
from bench.models.truth_model import TruthModel


@pytest.fixture(scope="session")
def language_data() -> EvaluationData:
    from factories.diagnosis import language_data

    return language_data()


@pytest.fixture(scope="session")
def truth(language_data) -> TruthModel:
    return TruthModel(corpus=language_data.vocabulary.corpus, vocabulary=language_data.vocabulary)
