"""Temperature, top-k and top-p against their definitions, on a distribution that is known."""

import pytest
import torch
from factories.models import word_model

from bench.evaluation.calibration import Calibration
from bench.evaluation.sampling import PLAIN, Sampling
from bench.evaluation.word_evaluator import WordEvaluator

P = torch.tensor([0.1, 0.5, 0.15, 0.25])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (PLAIN, [0.1, 0.5, 0.15, 0.25]),
        (Sampling(temperature=0.5), [0.01 / 0.345, 0.25 / 0.345, 0.0225 / 0.345, 0.0625 / 0.345]),
        (Sampling(top_k=2), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(top_k=1), [0, 1, 0, 0]),
        (Sampling(top_k=9), [0.1, 0.5, 0.15, 0.25]),
        (Sampling(top_p=0.4), [0, 1, 0, 0]),
        (Sampling(top_p=0.6), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(top_p=1.0), [0.1, 0.5, 0.15, 0.25]),
        (Sampling(top_k=2, top_p=0.6), [0, 1, 0, 0]),  # 2/3 of what top-k keeps
        (Sampling(temperature=0.5, top_p=0.8), [0, 0.8, 0, 0.2]),  # 0.725 of the sharpened distribution is too little
    ],
)
def test_probabilities_follow_the_definitions(sampling, expected):
    torch.testing.assert_close(sampling(P.log() + 3), torch.tensor(expected).float(), rtol=1e-5, atol=1e-6)


def test_top_1_is_the_greedy_word_and_a_low_temperature_nearly_so(vocabulary):
    """A head whose calibration keeps the order of its scores."""
    evaluator = WordEvaluator(word_model(vocabulary))
    options = {"calibration": Calibration(1.0, 0.0), "seed": 0}
    greedy = evaluator.generate(vocabulary, [3], 8, greedy=True, **options)
    for sampling in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-3)):
        assert evaluator.generate(vocabulary, [3], 8, greedy=False, sampling=sampling, **options) == greedy
    assert evaluator.generate(vocabulary, [3], 8, greedy=False, **options) != greedy
