"""Word model: features against one document at a time, training steps against plain autograd."""

import numpy as np
import pytest
import torch
from factories.models import HIDDEN, word_model
from torch import nn

import bench.models.word_model
from bench.data.text import Text, concatenate
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.models.count_model import CountModel
from bench.models.kneser_ney import KneserNey
from bench.models.row_adamw import row_sparse_is_faster
from bench.models.word_batches import Batch, Inputs
from bench.models.word_model import WordModel


@torch.no_grad()
def naive_hidden(model: WordModel, vocabulary, text: Text) -> torch.Tensor:
    """Read one document at a time from a fresh state, word by word. [N, H]"""
    rows = []
    for document in text.documents():
        state, before = None, len(vocabulary)
        for word in vocabulary.encode(document).tolist():
            hidden, state = model.backbone(torch.tensor([[before]]), state)
            rows.append(hidden[0, 0])
            before = word
    return torch.stack(rows)


@pytest.fixture(scope="module")
def text(corpus) -> Text:
    """70 documents of 1 to 28 words."""
    lengths = np.random.default_rng(0).integers(1, 29, 70)
    return concatenate(np.split(corpus.train.words[: lengths.sum()], np.cumsum(lengths)[:-1]))


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize(("documents", "steps"), [(32, 128), (9, 5), (1, 1)])
def test_features_equal_documents_read_separately(vocabulary, text, cell, documents, steps, monkeypatch):
    monkeypatch.setattr(bench.models.word_model, "DOCUMENTS_AT_ONCE", documents)
    monkeypatch.setattr(bench.models.word_model, "STEPS_AT_ONCE", steps)
    model = word_model(vocabulary, cell)
    torch.testing.assert_close(model.features(text, "train"), naive_hidden(model, vocabulary, text), atol=1e-6, rtol=0)


def test_features_are_computed_without_dropout(vocabulary, text):
    model = word_model(vocabulary)
    model.backbone.dropout.p = 0.5
    model.train()
    torch.testing.assert_close(model.features(text, "train"), naive_hidden(model, vocabulary, text), atol=1e-6, rtol=0)


def test_features_depend_on_preceding_words_only(vocabulary, corpus):
    model, words = word_model(vocabulary), corpus.train.words[:20]
    changed = words.copy()
    changed[11] = (changed[11] + 1) % 100
    one, other = (model.features(concatenate([document]), None) for document in (words, changed))
    assert torch.equal(one[:12], other[:12])
    assert (one[12:] != other[12:]).any(1).all()


def test_scores_equal_scores_of_the_head(vocabulary, text):
    model = word_model(vocabulary)
    features = model.features(text, "train")
    with torch.inference_mode():
        assert torch.equal(model.scores(features), model.head.scores(features))
    assert model.is_density is True


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_training_step_continues_state_without_gradient(vocabulary, cell):
    model = word_model(vocabulary, cell)
    generator = torch.Generator().manual_seed(0)
    inputs, words = torch.randint(0, len(vocabulary), (2, 3, 4, 5), generator=generator)  # [batches, B, T] each
    model.training_step(Batch(inputs[0], words[0], None, fresh=True), 0)
    loss = model.training_step(Batch(inputs[1], words[1], None, fresh=False), 1)
    loss.backward()

    reference = word_model(vocabulary, cell)
    with torch.no_grad():
        _, state = reference.backbone(inputs[0])
    hidden, _ = reference.backbone(inputs[1], state)
    expected = nn.functional.cross_entropy(reference.head.words(hidden).flatten(0, 1), words[1].flatten())
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for one, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one.grad.to_dense(), other.grad.to_dense())

    again = model.training_step(Batch(inputs[1], words[1], None, fresh=True), 2)
    torch.testing.assert_close(
        again, word_model(vocabulary, cell).training_step(Batch(inputs[1], words[1], None, True), 0)
    )
    assert not torch.equal(again, loss)


def test_head_loss_receives_vectors_of_the_batch(vocabulary):
    class Recorder(SoftmaxHead):
        def loss(self, hidden, words, vectors=None):
            self.received = hidden.shape, words, vectors
            return super().loss(hidden, words)

    model = word_model(vocabulary)
    model.head = Recorder(hidden_size=HIDDEN, vocabulary=vocabulary)
    words, vectors = torch.arange(6).view(2, 3), torch.arange(24.0).view(2, 3, 4)
    model.training_step(Batch(words, words, vectors, fresh=True), 0)
    shape, received_words, received_vectors = model.head.received
    assert shape == (6, HIDDEN)
    assert received_words.tolist() == list(range(6))
    assert torch.equal(received_vectors, torch.arange(24.0).view(6, 4))
    model.training_step(Batch(words, words, None, fresh=True), 0)
    assert model.head.received[2] is None


def test_optimiser_has_configured_lr_and_weight_decay(vocabulary):
    model = word_model(vocabulary)
    (group,) = model.configure_optimizers().param_groups
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.1)
    assert len(group["params"]) == len(list(model.parameters()))


def test_row_sparse_steps_equal_dense_steps(vocabulary):
    """Skipped updates of the input layer and the head are applied to touched rows, and to all rows after training."""
    generator = torch.Generator().manual_seed(0)
    inputs, words = torch.randint(0, len(vocabulary), (2, 2, 4, 5), generator=generator)  # [steps, B, T] each
    before, trained = dict(word_model(vocabulary).named_parameters()), []
    for is_sparse in (True, False):
        model = word_model(vocabulary)
        model.head = SampledSoftmaxHead(hidden_size=HIDDEN, vocabulary=vocabulary, samples=20)
        model.head.words.load_state_dict({name: before[f"head.words.{name}"] for name in ("weight", "bias")})
        model.use_sparse_gradients(is_sparse)
        optimizer = model.configure_optimizers()
        torch.manual_seed(1)  # of the draws
        for step in range(2):
            optimizer.zero_grad()
            model.training_step(Batch(inputs[step], words[step], None, fresh=step == 0), step).backward()
            sparse = {name for name, weight in model.named_parameters() if weight.grad.is_sparse}
            assert sparse == ({"backbone.input.weight", "head.words.weight", "head.words.bias"} if is_sparse else set())
            optimizer.step()
            if step == 0 and is_sparse:
                others = torch.ones(len(vocabulary) + 1, dtype=torch.bool)
                others[inputs[0].unique()] = False
                kept = model.backbone.input.weight
                assert torch.equal(kept[others], before["backbone.input.weight"][others])
                assert (kept[~others] != before["backbone.input.weight"][~others]).any(1).all()
        optimizer.apply_all_skipped_updates()
        trained.append(dict(model.named_parameters()))
    for name, weight in trained[0].items():
        moved = (trained[1][name] - before[name]).abs().mean()
        assert (weight - trained[1][name]).abs().mean() < 0.01 * moved, name


def test_gpu_has_row_sparse_gradients_for_large_tables_alone():
    small, large = (nn.Parameter(torch.empty(rows, 1000, device="meta")) for rows in (100_000, 100_001))
    assert row_sparse_is_faster([small, large], torch.device("cuda"))
    assert not row_sparse_is_faster([small], torch.device("cuda"))
    assert row_sparse_is_faster([small], torch.device("cpu"))


def test_gradients_are_dense_when_inputs_are_vectors(vocabulary):
    trunk = RNN(cell=nn.LSTM, hidden_size=HIDDEN, layers=1, dropout=0.0, vocabulary_size=9, input_width=3)
    head = SoftmaxHead(hidden_size=HIDDEN, vocabulary=vocabulary)
    model = WordModel(trunk, head, Inputs(vocabulary), lr=0.01, weight_decay=0.1)
    words = torch.arange(6).view(2, 3)
    model.training_step(Batch(torch.randn(2, 3, 3), words, None, fresh=True), 0).backward()
    assert not any(weight.grad.is_sparse for weight in model.parameters())


@pytest.mark.parametrize("order", [1, 3])
def test_scores_of_count_model_equal_log_probabilities(vocabulary, text, order):
    model = CountModel(corpus=vocabulary.corpus, vocabulary=vocabulary, order=order)
    counted = [vocabulary.encode(words).astype(np.int64) for words in vocabulary.corpus.train.documents()]
    reference = KneserNey(counted, len(vocabulary), order)
    rows = []
    for document in text.documents():
        ids = vocabulary.encode(document).tolist()
        for t in range(len(ids)):
            context = 0
            for symbol in ([len(vocabulary)] * (order - 1) + ids)[t : t + order - 1]:
                context = context * (len(vocabulary) + 1) + symbol
            rows.append(reference.probabilities(np.array([context]))[0])
    scores = model.scores(model.features(text, "train"))
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores, np.log(rows), rtol=1e-6)
    assert model.is_density is True
