"""Read-out ladder, collapse and hubness: repairs of known faults, and values computed by other libraries."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from factories.diagnosis import CLASSES, regressor_case
from scipy import stats

from bench.evaluation.diagnosis import diagnose, ladder
from bench.evaluation.diagnosis.collapse import collapse, effective_rank, total_variance
from bench.evaluation.diagnosis.hubness import decoders, hubness, skewness
from bench.evaluation.diagnosis.ladder import fit, fitted, nats_and_accuracy, training_sample
from bench.evaluation.diagnosis.read_outs import LinearMap, Probe, ReadOut, WordBias
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead


@pytest.fixture(autouse=True)
def longer_fit(monkeypatch):
    """The training text is short: fewer segments, smaller steps and more passes."""
    for name, value in {"EPOCHS": 12, "STEP": 256, "SEGMENTS": 256}.items():
        monkeypatch.setattr(ladder, name, value)


def read_outs(case) -> dict[str, dict]:
    return {row["read_out"]: row for row in ladder.ladder(case, case.inputs("test"))}


def test_each_read_out_has_its_number_of_free_parameters(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead)
    size, width = case.head.table.shape
    expected = [None, 0, 2, size, width * width, size * (CLASSES**2 + 1)]  # first the reference
    assert [row["parameters"] for row in read_outs(case).values()] == expected


def test_read_outs_without_a_fit_have_the_figures_of_the_chain(language_data, truth):
    case = regressor_case(language_data, truth, CosineHead, error=0.5)
    figures = diagnose(case)
    reference, nearest, calibrated = figures["read_outs"][:3]
    assert reference["nats"] == pytest.approx(figures["reference_nats"], abs=1e-2)
    assert reference["accuracy_at_1"] == pytest.approx(figures["reference_accuracy_at_1"], abs=1e-2)
    assert nearest["accuracy_at_1"] == pytest.approx(figures["accuracy_at_1"], abs=1e-3)  # at a sample of positions
    assert nearest["nats"] == pytest.approx(figures["nats"], abs=1e-2)
    assert calibrated["nats"] == pytest.approx(figures["nats"] - figures["nats_lost_to_decoding"], abs=1e-2)


def test_probe_finds_what_the_hidden_states_know(language_data, truth):
    """The hidden states are the true contexts, so a linear softmax on these can be the truth."""
    rows = read_outs(regressor_case(language_data, truth, MSEHead, error=2.0))
    log_p = truth.scores(truth.features(language_data.test, None))
    words = torch.from_numpy(language_data.vocabulary.encode(language_data.test.words).astype(np.int64))
    entropy = float(F.cross_entropy(log_p, words))
    assert entropy < rows["probe"]["nats"] < entropy + 0.3
    assert rows["probe"]["nats"] < rows["calibrated"]["nats"] - 0.1


def test_linear_map_undoes_a_rotation_of_the_predictions(language_data, truth):
    straight = regressor_case(language_data, truth, MSEHead)
    rotated = regressor_case(language_data, truth, MSEHead)
    rotated.head.projection.weight.copy_(straight.head.projection.weight.roll(1, 0))
    inputs = straight.inputs("test"), rotated.inputs("test")
    before, after = (
        nats_and_accuracy(ReadOut(case, case.calibration), each, case.unk)[0]
        for case, each in zip((straight, rotated), inputs, strict=True)
    )
    linear_map = fitted(LinearMap(rotated, rotated.calibration), *training_sample(rotated), rotated)
    lost = after - before
    assert lost > 0.05
    assert nats_and_accuracy(linear_map, inputs[1], rotated.unk)[0] < after - 0.5 * lost


def test_word_bias_learns_a_prior_that_the_start_lacks(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead)
    inputs, read_out = case.inputs("test"), WordBias(case, case.scale_alone)
    start = nats_and_accuracy(read_out, inputs, case.unk)[0]
    calibrated = nats_and_accuracy(ReadOut(case, case.calibration), inputs, case.unk)[0]
    fitted(read_out, *training_sample(case), case)
    after = nats_and_accuracy(read_out, inputs, case.unk)[0]
    assert start > calibrated + 0.1
    assert after < start - 0.8 * (start - calibrated)


def test_probe_starts_at_another_read_out_if_its_queries_are_linear(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead, error=0.5)
    inputs = case.calibration_inputs
    linear_map = LinearMap(case, case.calibration)
    torch.nn.init.orthogonal_(linear_map.mixing)
    for rule in (ReadOut(case, case.calibration), linear_map):
        start = Probe(case, rule)
        torch.testing.assert_close(start.scores(inputs.features), rule.scores(inputs.features), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("head", [MSEHead, CosineHead])
def test_more_free_parameters_never_need_more_nats_on_validation(language_data, truth, monkeypatch, head):
    for name, value in {"EPOCHS": 1, "STEP": 1024, "SEGMENTS": 4096}.items():  # as outside the tests
        monkeypatch.setattr(ladder, name, value)
    case = regressor_case(language_data, truth, head, error=2.0)
    nats = {row["read_out"]: row["nats"] for row in ladder.ladder(case, case.calibration_inputs)}
    assert nats["calibrated"] < nats["nearest"] and nats["linear_map"] <= nats["calibrated"]
    assert nats["probe"] <= nats["linear_map"] + (1e-4 if head is MSEHead else 0.02)


def test_nearest_word_is_that_of_the_heads_scores_if_the_fitted_scale_is_negative(language_data, truth, monkeypatch):
    monkeypatch.setattr(ladder, "EPOCHS", 1)
    case = regressor_case(language_data, truth, MSEHead, error=0.5)
    accuracy = read_outs(case)["nearest"]["accuracy_at_1"]
    case.__dict__["scale_alone"] = case.scale_alone._replace(scale=-case.scale_alone.scale)
    assert read_outs(case)["nearest"]["accuracy_at_1"] == accuracy > 0


def test_fit_that_does_not_help_on_validation_is_undone(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead)
    probe = Probe(case, ReadOut(case, case.calibration))
    start = nats_and_accuracy(probe, case.calibration_inputs, case.unk)[0]
    assert fit(probe, *training_sample(case), case, rate=10.0, start=start) <= start
    assert nats_and_accuracy(probe, case.calibration_inputs, case.unk)[0] <= start + 1e-6


@pytest.mark.parametrize(("gains", "chosen"), [([0, 0, 2, 1], 1e-2), ([2, 1], 1e-3), ([0, 0, 0, 0, 0], 1e-3)])
def test_higher_rates_are_tried_until_the_nats_have_fallen_and_rise_again(
    language_data, truth, monkeypatch, gains, chosen
):
    """A fit that does not help is undone, so that low rates can give exactly the initial nats."""
    case, tried = regressor_case(language_data, truth, MSEHead), []

    def made_up(read_out, features, words, case, rate, start) -> float:
        tried.append(rate)
        return start - (gains[len(tried) - 1] if len(tried) <= len(gains) else 2)

    monkeypatch.setattr(ladder, "fit", made_up)
    fitted(WordBias(case, case.calibration), *training_sample(case), case)
    assert tried == [*ladder.RATES[: len(gains)], chosen]


def test_fits_that_choose_the_learning_rate_are_freed_at_once(language_data, truth, monkeypatch):
    monkeypatch.setattr(ladder, "EPOCHS", 1)
    case, made, adam = regressor_case(language_data, truth, MSEHead), [], torch.optim.Adam

    def recorded(*arguments, **named) -> torch.optim.Adam:
        optimizer = adam(*arguments, **named)
        made.append(weakref.ref(optimizer))
        return optimizer

    monkeypatch.setattr(torch.optim, "Adam", recorded)
    gc.disable()
    try:
        fitted(WordBias(case, case.calibration), *training_sample(case), case)
        alive = [each() for each in made if each() is not None]
    finally:
        gc.enable()
    assert len(made) > 2 and alive == []


def test_sample_of_training_text_reads_words_with_their_history(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead)
    features, words = training_sample(case)
    train = language_data.vocabulary.corpus.train
    every = case.model.features(train, "train")
    ids = torch.from_numpy(language_data.vocabulary.encode(train.words).astype(np.int64))
    assert torch.equal(features[:32], every[32:64]) and torch.equal(words[:32], ids[32:64])
    assert torch.equal(features[-32:], every[-32:]) and torch.equal(words[-32:], ids[-32:])
    assert len(words) == 32 * ladder.SEGMENTS


def test_effective_rank_and_variance_of_known_covariances():
    axes = torch.eye(4).repeat(2, 1) * torch.tensor([1.0, -1.0]).repeat_interleave(4)[:, None]
    assert effective_rank(axes) == pytest.approx(4)
    assert effective_rank(axes[:, :1].expand(-1, 3)) == pytest.approx(1)
    assert effective_rank(torch.ones(5, 3)) == 0
    vectors = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    assert total_variance(vectors) == pytest.approx(
        np.trace(np.cov(vectors.numpy(), rowvar=False, bias=True)), rel=1e-5
    )


def test_collapsed_predictions_are_recognised(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead)
    healthy = collapse(case, case.inputs("test"))
    case.head.projection.weight.copy_(case.head.projection.weight.mean(1, keepdim=True).expand(-1, CLASSES**2))
    collapsed = collapse(case, case.inputs("test"))
    assert collapsed["distinct_words"] == 1
    assert collapsed["variance_over_targets"] == pytest.approx(0, abs=1e-9)
    assert collapsed["cosine"] == pytest.approx(collapsed["shuffled_cosine"], abs=1e-6)
    assert healthy["distinct_words"] > 1
    assert 0.001 < healthy["variance_over_targets"] < 1
    for name in ("effective_rank", "target_effective_rank"):
        assert 1 < healthy[name] <= case.head.table.shape[1]
    assert healthy["cosine"] > healthy["shuffled_cosine"] + 0.01
    assert healthy["accuracy_at_1"] > healthy["shuffled_accuracy_at_1"]


def test_skewness_agrees_with_scipy():
    counts = torch.tensor([0, 0, 1, 2, 40])
    assert skewness(counts) == pytest.approx(stats.skew(counts.numpy()))
    assert skewness(torch.ones(4)) is None


def test_decoders_equal_their_formulas(language_data, truth):
    case = regressor_case(language_data, truth, MSEHead, error=0.3)
    sample = case.head.predictions(case.calibration_inputs.features)
    table, some = case.head.table.double().numpy(), sample[:5]

    def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first @ second.T / np.linalg.norm(first, axis=1)[:, None] / np.linalg.norm(second, axis=1)

    made = decoders(case, sample)
    predicted, every = some.double().numpy(), sample.double().numpy()
    centred, moved = table - table.mean(0), predicted - every.mean(0)
    root = np.linalg.inv(np.linalg.cholesky(np.cov(table, rowvar=False, bias=True))).T  # whitens up to a rotation
    density = np.sort(cosine(table, every), 1)[:, -10:].mean(1)
    expected = {
        "cosine": cosine(predicted, table),
        "centred": cosine(moved, centred),
        "whitened": cosine(moved @ root, centred @ root),
        "csls": 2 * cosine(predicted, table) - density,
    }
    assert made.keys() == expected.keys()
    for name, scores in made.items():
        np.testing.assert_allclose(scores(some).numpy(), expected[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_word_near_to_every_prediction_raises_the_skew(language_data, truth):
    case = regressor_case(language_data, truth, CosineHead, error=0.2)
    weight = case.head.projection.weight  # predictions by context, moved towards their mean
    weight.copy_(0.4 * weight + 0.6 * weight.mean(1, keepdim=True))
    inputs = case.inputs("test")
    before = hubness(case, inputs)["cosine"]
    hub = 0 if case.unk else 1
    case.head.table[hub] = F.normalize(case.head.predictions(inputs.features).mean(0), dim=0)
    after = hubness(case, inputs)["cosine"]
    assert after["skew_at_1"] > before["skew_at_1"]
