"""A regressor on a synthetic language whose predictions are known, so that each part of its diagnosis is known."""

import torch
from torch import Tensor

from bench.data.sources.synthetic import synthetic
from bench.data.text import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.diagnosis.inputs import Case
from bench.evaluation.score import EvaluationData
from bench.heads._regressor import Regressor
from bench.heads.vmf import VMFHead
from bench.models.language_model import ClosedVocabularyModel
from bench.models.spelling import Speller
from bench.models.truth_model import TruthModel
from bench.targets.tables import Targets

D, CLASSES = 8, 4


def language_data() -> EvaluationData:
    corpus = synthetic(types=200, words=16_000, classes=CLASSES, concentration=0.5, seed=3, document_words=400)
    vocabulary = Vocabulary(corpus, 120)
    return EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 800, 50)


class ContextModel(ClosedVocabularyModel):
    """Head on the one-hot code of the true context: each prediction is a column of the projection's weight."""

    def __init__(self, truth: TruthModel, head: Regressor):
        self.truth, self.head = truth, head

    def features(self, text: Text, split: str | None) -> Tensor:
        return torch.nn.functional.one_hot(self.truth.features(text, split)[:, 0], CLASSES**2).float()

    def scores(self, features: Tensor) -> Tensor:
        return self.head.scores(features)


def conditional_means(truth: TruthModel, head: Regressor) -> Tensor:
    """Σ p(w | context) e_w for every context. [K², D]"""
    p = truth.scores(torch.arange(CLASSES**2)[:, None]).double().exp()
    return (p @ head.target_vectors(torch.arange(p.shape[1]), None).double()).float()


def regressor_case(
    data: EvaluationData,
    truth: TruthModel,
    head_class: type[Regressor],
    *,
    table: Tensor | None = None,
    error: float = 0.0,
    **options: object,
) -> Case:
    """Return a regressor that predicts the minimiser of its loss, plus a random error of this relative size."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(len(data.vocabulary), D, generator=generator) if table is None else table
    targets = Targets("random", "type", rows, normalise=True)
    head = head_class(hidden_size=CLASSES**2, vocabulary=data.vocabulary, targets=targets, **options)
    head.requires_grad_(False)
    means = conditional_means(truth, head)
    means += torch.randn(means.shape, generator=generator) * means.norm(dim=1, keepdim=True) * error
    weight = head.minimiser(means) / D if head_class is VMFHead else means  # a von Mises-Fisher query is D projections
    head.projection.weight.copy_(weight.T)
    head.projection.bias.zero_()
    return Case(ContextModel(truth, head), targets, truth, Calibration(1.0, 0.0), data)
