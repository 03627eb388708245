"""The chain on a synthetic language whose distribution is known: every part against loops over positions in numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from factories.diagnosis import CLASSES, D, regressor_case

from bench.core.errors import SettingError
from bench.evaluation.diagnosis.chain import PARTS, chain, fit_rule, measure, nats_given_row, parts
from bench.heads._regressor import Regressor
from bench.heads.cosine import CosineHead
from bench.heads.infonce import InfoNCEHead
from bench.heads.max_margin import MaxMarginHead
from bench.heads.mse import MSEHead
from bench.heads.vmf import VMFHead
from bench.targets.tables import Targets

LOSSES = [f"lost_to_{part}" for part in PARTS]


def chain_of(*arguments: object, **options: object) -> dict:
    case = regressor_case(*arguments, **options)
    return chain(case, case.inputs("test"))


def test_regressor_that_predicts_the_minimiser_loses_nothing_to_fit_or_ambiguity(language_data, truth):
    for head_class in (MSEHead, CosineHead, VMFHead):
        figures = chain_of(language_data, truth, head_class)
        assert figures["lost_to_target_ambiguity"] == figures["nats_lost_to_target_ambiguity"] == 0
        assert figures["lost_to_fit"] == 0
        assert figures["nats_lost_to_fit"] == pytest.approx(0, abs=1e-5)
        assert figures["identifiability_ceiling"] == 1
        assert figures["lost_to_conditional_mean"] + figures["lost_to_decoding"] == pytest.approx(
            figures["accuracy_gap"], abs=1e-12
        )
        assert figures["conditional_mean_ceiling"] == figures["accuracy_at_1"]  # both by the nearest row


def test_every_step_equals_a_loop_over_positions(language_data, truth):
    duplicated = torch.randn(len(language_data.vocabulary), D, generator=torch.Generator().manual_seed(2))
    pair = [word for word in (2, 5, 6) if word != language_data.vocabulary.unk][:2]
    duplicated[pair[1]] = duplicated[pair[0]]  # no vector distinguishes the two words
    here = regressor_case(language_data, truth, MSEHead, table=duplicated, error=0.6)
    steps, head, vocabulary = measure(here, here.inputs("test")), here.head, language_data.vocabulary
    words = vocabulary.encode(language_data.test.words)
    contexts = truth.features(language_data.test, None)[:, 0].numpy()
    table = head.table.double().numpy()
    p = np.exp(truth.scores(torch.arange(CLASSES**2)[:, None]).double().numpy())
    own = head.projection.weight.T.double().numpy()  # predictions by context [K², D]
    log_unigram = vocabulary.log_unigram.astype(float)

    def decoded(scores: np.ndarray, word: int) -> float:
        candidates = np.delete(np.arange(len(table)), vocabulary.unk)
        higher = sum(scores[each] > scores[word] for each in candidates)
        equal = sum(scores[each] == scores[word] for each in candidates)
        return float(word != vocabulary.unk and 1 + higher + (equal - 1) / 2 <= 1)

    def nats(logits: np.ndarray, word: int) -> float:
        return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[word])

    def near(vector: np.ndarray) -> np.ndarray:
        return 2 * vector @ table.T - np.square(table).sum(1)

    minimiser, by_nearest = fit_rule(
        here,
        lambda block: torch.stack(
            [torch.from_numpy(near(p[code] @ table)).float() for code in block.reference_features[:, 0]]
        ),
    )
    own_by_nearest = fit_rule(here, here.scores).is_nearest
    for t in range(0, len(words), 7):
        word, context = words[t], contexts[t]
        log_p = np.log(p[context])
        true_hit = float(word not in pair and word != vocabulary.unk)
        best, predicted = near(p[context] @ table), near(own[context])
        a, b = here.calibration
        hits = [
            decoded(log_p, word),
            decoded(log_p, word) * true_hit,
            decoded(best if by_nearest else minimiser.scale * best + minimiser.prior * log_unigram, word),
            decoded(predicted if own_by_nearest else a * predicted + b * log_unigram, word),
            decoded(predicted, word),
        ]
        expected_nats = [
            -log_p[word],
            -log_p[word] + (np.logaddexp.reduce(log_unigram[pair]) - log_unigram[word] if word in pair else 0),
            nats(minimiser.scale * best + minimiser.prior * log_unigram, word),
            nats(a * predicted + b * log_unigram, word),
            nats(here.scale_alone.scale * predicted, word),
        ]
        assert steps.hits[:, t].tolist() == hits
        np.testing.assert_allclose(steps.nats[:, t], expected_nats, rtol=1e-4, atol=1e-4)


def test_rule_is_the_nearest_row_if_it_hits_more_often_on_validation(language_data, truth):
    here = regressor_case(language_data, truth, MSEHead, error=0.6)
    words = here.calibration_inputs.words
    always, never = torch.zeros(len(words), len(here.log_unigram)), torch.zeros(len(words), len(here.log_unigram))
    always[torch.arange(len(words)), words] = 1.0
    never[:, here.unk] = 1.0

    def whole(scores: torch.Tensor) -> object:
        return lambda block: scores[: len(block.words)]

    assert fit_rule(here, whole(always)).is_nearest
    assert not fit_rule(here, whole(-here.log_unigram.expand(len(words), -1))).is_nearest
    rule = fit_rule(here, whole(never))
    hit, nats = rule.apply(here, never, words)
    expected = F.cross_entropy(rule.calibration.logits(never, here.log_unigram), words, reduction="none")
    torch.testing.assert_close(nats, expected.double(), rtol=1e-5, atol=1e-5)
    assert float(hit.mean()) == pytest.approx(0 if rule.is_nearest else unigram_accuracy(here, words))


def unigram_accuracy(here, words: torch.Tensor) -> float:
    """Return the accuracy of the most frequent word that is not `<unk>`."""
    best = int(here.log_unigram.index_fill(0, torch.tensor(here.unk), -torch.inf).argmax())
    return float((words == best).double().mean())


def test_parts_sum_to_the_gap_in_accuracy_and_in_nats_with_intervals(language_data, truth):
    figures = chain_of(language_data, truth, CosineHead, error=1.0)
    assert sum(figures[name] for name in LOSSES) == pytest.approx(figures["accuracy_gap"], abs=1e-12)
    assert sum(figures[f"nats_{name}"] for name in LOSSES) == pytest.approx(figures["nats_gap"], abs=1e-9)
    assert figures["accuracy_gap"] == pytest.approx(
        figures["reference_accuracy_at_1"] - figures["accuracy_at_1"], abs=1e-12
    )
    assert figures["nats_gap"] == pytest.approx(figures["nats"] - figures["reference_nats"], abs=1e-9)
    assert figures["nats_lost_to_fit"] > 0.01
    assert figures["intervals"].keys() >= {*LOSSES, *(f"nats_{name}" for name in LOSSES), "accuracy_gap", "nats_gap"}
    for name, (low, high) in figures["intervals"].items():
        assert low <= figures[name] <= high, name


def test_duplicate_rows_are_lost_to_target_ambiguity(language_data, truth):
    table = torch.randn(len(language_data.vocabulary), D, generator=torch.Generator().manual_seed(2))
    table[1] = table[3] = table[0]
    figures = chain_of(language_data, truth, MSEHead, table=table)
    unk, words = language_data.vocabulary.unk, language_data.vocabulary.encode(language_data.test.words)
    candidates = [each for each in (0, 1, 3) if each != unk]
    known, alike = words != unk, np.isin(words, candidates)
    assert figures["identifiability_ceiling"] == pytest.approx(1 - alike.sum() / known.sum())
    log_unigram = language_data.vocabulary.log_unigram.astype(float)
    nats = (np.logaddexp.reduce(log_unigram[candidates]) - log_unigram[words[alike]]).sum() / len(words)
    assert figures["nats_lost_to_target_ambiguity"] == pytest.approx(nats, rel=1e-6)
    assert figures["lost_to_target_ambiguity"] > 0


class Occurrences:
    """Encoder whose vector of an occurrence is the row of its word, plus noise."""

    def __init__(self, vocabulary, rows: torch.Tensor, noise: float):
        self.vocabulary, self.rows, self.noise = vocabulary, rows, noise

    def encode(self, corpus, split: str) -> SimpleNamespace:
        words = self.vocabulary.encode(getattr(corpus, split).words)
        noise = np.random.default_rng(len(words)).normal(size=(len(words), self.rows.shape[1]))
        return SimpleNamespace(vectors=(self.rows.numpy()[words] + self.noise * noise).astype(np.float16))


@pytest.mark.parametrize("head_class", [MSEHead, CosineHead, VMFHead])
def test_vectors_of_occurrences_are_lost_where_their_nearest_row_is_another_word(language_data, truth, head_class):
    case = regressor_case(language_data, truth, head_class)
    vocabulary, corpus = language_data.vocabulary, language_data.vocabulary.corpus
    encoder = Occurrences(vocabulary, case.targets.table, noise=0.25)
    case.targets.level, case.targets.encoder = "token", encoder
    case.targets.vectors = encoder.encode(corpus, "train").vectors
    train = torch.from_numpy(case.targets.vectors.astype(np.float32))
    direct = head_class is not MSEHead  # normalised vectors of occurrences
    train = F.normalize(train, dim=1) if direct or case.targets.normalise else train
    ids = vocabulary.encode(corpus.train.words)
    expected = torch.stack([train[torch.from_numpy(ids == word)].mean(0) for word in range(len(vocabulary))])
    torch.testing.assert_close(case.means, expected, rtol=1e-4, atol=1e-5)
    figures = chain(case, case.inputs("test"))
    vectors = F.normalize(torch.from_numpy(encoder.encode(corpus, "test").vectors.astype(np.float32)), dim=1)
    distances = torch.cdist(vectors, F.normalize(case.head.table, dim=1))
    distances[:, vocabulary.unk] = torch.inf
    words = torch.from_numpy(vocabulary.encode(language_data.test.words).astype(np.int64))
    known = words != vocabulary.unk
    hits = (distances.argmin(1) == words) & known
    assert 0.2 < float(hits.sum() / known.sum()) < 0.98
    assert figures["identifiability_ceiling"] == pytest.approx(float(hits.sum() / known.sum()))
    best = truth.scores(truth.features(language_data.test, None))
    best[:, vocabulary.unk] = -torch.inf
    missed = ((best.argmax(1) == words) & known & ~hits).float().mean()
    assert figures["lost_to_target_ambiguity"] == pytest.approx(float(missed), abs=1e-7)
    assert figures["nats_lost_to_target_ambiguity"] > 0
    assert sum(figures[name] for name in LOSSES) == pytest.approx(figures["accuracy_gap"], abs=1e-12)


def test_head_without_a_minimiser_loses_to_conditional_mean_and_fit_jointly(language_data, truth):
    figures = chain_of(language_data, truth, InfoNCEHead, samples=5, temperature=0.5)
    assert figures["lost_to_conditional_mean"] is None and figures["lost_to_fit"] is None
    assert figures["conditional_mean_ceiling"] is None
    separable = ("target_ambiguity", "conditional_mean_and_fit", "decoding")
    for unit, gap in (("", "accuracy_gap"), ("nats_", "nats_gap")):
        assert sum(figures[f"{unit}lost_to_{part}"] for part in separable) == pytest.approx(figures[gap], abs=1e-9)


@pytest.mark.parametrize("head_class", [MSEHead, CosineHead, VMFHead])
def test_gradient_of_expected_loss_vanishes_at_the_minimiser(language_data, head_class):
    generator = torch.Generator().manual_seed(4)
    targets = Targets(
        "random", "type", torch.randn(len(language_data.vocabulary), D, generator=generator), normalise=True
    )
    head = head_class(hidden_size=D, vocabulary=language_data.vocabulary, targets=targets).double()
    p = torch.rand(len(language_data.vocabulary), generator=generator, dtype=torch.float64).pow(8)
    p /= p.sum()
    factor = {MSEHead: 2.0, CosineHead: 1.0, VMFHead: D}[head_class]  # queries over projections
    head.projection.weight.data.copy_(torch.eye(D))
    head.projection.bias.data.zero_()
    state = (head.minimiser(p @ head.table)[None] / factor).requires_grad_()
    torch.testing.assert_close(head.queries(state)[0], head.minimiser(p @ head.table), rtol=1e-6, atol=1e-9)
    losses = torch.stack([head.loss(state, word[None]) for word in torch.arange(len(p))])
    (gradient,) = torch.autograd.grad((p * losses).sum(), state)
    assert gradient.abs().max() < 1e-6


def test_head_with_a_loss_or_a_decoder_of_its_own_inherits_no_minimiser():
    class Renamed(MSEHead):
        """The same loss."""

    class OtherLoss(MSEHead):
        def loss(self, hidden, words, vectors=None):
            return (self.projection(hidden) - self.target_vectors(words, vectors)).abs().sum(-1).mean()

    class OtherQueries(MSEHead):
        def queries(self, hidden):
            return 2 * super().queries(hidden)

    assert Renamed.minimiser is MSEHead.minimiser
    assert (
        OtherLoss.minimiser
        is OtherQueries.minimiser
        is MaxMarginHead.minimiser
        is InfoNCEHead.minimiser
        is Regressor.minimiser
    )


def test_head_whose_scores_are_no_product_is_refused_in_one_line(language_data, truth):
    class OtherScores(MSEHead):
        def scores(self, hidden):
            return -torch.cdist(self.projection(hidden), self.table, p=1)

    with pytest.raises(SettingError, match=r"^RUN: OtherScores has no rows\(\), which the read-outs .*extending.md\)$"):
        chain_of(language_data, truth, OtherScores)


def test_words_of_one_row_have_their_unigram_shares_and_unk_is_no_candidate():
    table, shares = torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0]]), torch.tensor([0.2, 0.4, 0.3, 0.1])
    expected = torch.tensor([0.2, 1.0, 0.3, 0.1], dtype=torch.float64)
    found = nats_given_row(table, shares.log(), unk=1)
    torch.testing.assert_close((-found).exp(), expected / torch.tensor([0.6, 1, 0.6, 0.6]), rtol=1e-6, atol=0)
    assert found[1] == 0
    found = nats_given_row(table, shares.log(), unk=3)
    torch.testing.assert_close((-found).exp(), torch.tensor([0.4, 1, 0.6, 1]).double(), rtol=1e-6, atol=0)


def test_sum_of_parts_equals_first_minus_last_step():
    steps = np.array([[1.0, 0], [1, 0], [0, 0], [0, 1], [0, 0]])
    lost = parts(steps, -1)
    assert {name: values.tolist() for name, values in lost.items()} == {
        "gap": [1, 0],
        "lost_to_target_ambiguity": [0, 0],
        "lost_to_conditional_mean": [1, 0],
        "lost_to_fit": [0, -1],
        "lost_to_decoding": [0, 1],
    }
