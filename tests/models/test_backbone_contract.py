"""Contract of backbones: an outside backbone with positional embeddings and a tree of tensors as its state."""

from pathlib import Path

import numpy as np
import pytest
import torch
from factories.cells import settings
from factories.configurations import composed
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.evaluation.word_evaluator import WordEvaluator
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones import Backbone
from bench.models.backbones._contract import check_contract
from bench.models.word_batches import Batch, Inputs
from bench.models.word_model import WordModel
from bench.run import run

BACKBONES = sorted(path.stem for path in Path(config_dir(), "backbone").glob("*.yaml"))

POSITIONS = 16  # rows of the positional table; the position of a word is taken modulo this number


class MeanOfWords(Backbone):
    """Running mean of word vectors plus a positional embedding; the state is a dictionary without a layer axis."""

    def __init__(self, *, hidden_size: int, vocabulary_size: int, input_width: int | None = None):
        super().__init__(hidden_size=hidden_size, vocabulary_size=vocabulary_size, input_width=input_width)
        self.words = nn.Embedding(vocabulary_size + 1, hidden_size)
        self.positions = nn.Embedding(POSITIONS, hidden_size)

    def forward(self, inputs, state=None):
        vectors = self.words(inputs)  # [B, T, H]
        if state is None:
            counts = torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
            state = {"count": counts, "sums": (torch.zeros_like(vectors[:, 0]),)}
        position = state["count"][:, None] + torch.arange(inputs.shape[1], device=inputs.device)  # [B, T]
        sums = state["sums"][0][:, None] + vectors.cumsum(1)
        hidden = sums / (position[..., None] + 1) + self.positions(position % POSITIONS)
        return hidden, {"count": position[:, -1] + 1, "sums": (sums[:, -1],)}

    def word_embeddings(self):
        return [self.words]

    def flops_per_position(self, steps):
        return 3.0 * self.hidden_size


class NoBackbone(nn.Module):
    """Module with the attributes of a backbone that does not subclass Backbone."""

    def __init__(self, **_: object):
        super().__init__()
        self.hidden_size = 8


@pytest.fixture
def model(vocabulary) -> WordModel:
    torch.manual_seed(0)
    backbone = MeanOfWords(hidden_size=12, vocabulary_size=len(vocabulary))
    head = SoftmaxHead(hidden_size=12, vocabulary=vocabulary)
    return WordModel(backbone, head, Inputs(vocabulary), lr=0.01, weight_decay=0.1)


def test_only_word_embeddings_get_row_sparse_gradients(model, vocabulary):
    words = torch.randint(len(vocabulary), (3, 5), generator=torch.Generator().manual_seed(0))
    optimizer = model.configure_optimizers()
    for step in range(2):
        optimizer.zero_grad()
        model.training_step(Batch(words, words, None, fresh=step == 0), step).backward()
        sparse = {name for name, weight in model.named_parameters() if weight.grad.is_sparse}
        assert sparse == {"backbone.words.weight"}
        optimizer.step()
    assert model.state["count"].tolist() == [10] * 3


def test_proceed_gives_the_next_features_of_the_text(model, corpus, vocabulary):
    states, features = model.states(corpus.test, "test"), model.features(corpus.test, "test")
    torch.testing.assert_close(states[0], features, rtol=1e-5, atol=1e-5)
    positions = torch.tensor([3, 40, 90])
    words = torch.from_numpy(vocabulary.encode(corpus.test.words).astype(np.int64))
    state = {"count": states[1]["count"][positions], "sums": (states[1]["sums"][0][positions],)}
    proceeded = model.proceed((states[0][positions], state), words[positions])
    torch.testing.assert_close(proceeded[0], features[positions + 1], rtol=1e-4, atol=1e-4)


def test_word_evaluator_measures_outside_backbone(model, evaluation_data):
    evaluator = WordEvaluator(model)
    scored = evaluator.score(evaluation_data)
    assert np.isfinite(scored.nats).all() and not np.isnan(scored.brier_n).all()
    point = evaluator.validate(evaluation_data)
    assert np.isfinite([point["validation_nats"], evaluator.validation_nats(evaluation_data)]).all()
    assert len(evaluator.generate(evaluation_data.vocabulary, [3], 5, greedy=True, calibration=None, seed=0)) == 5


def configured(folder: Path, backbone: str) -> DictConfig:
    """Return the configuration of a small cell whose backbone is a class of this file."""
    cfg = settings(folder, "system=softmax")
    OmegaConf.set_struct(cfg, False)
    cfg.backbone = {"name": "mean", "trunk": {"_target_": f"{__name__}.{backbone}", "hidden_size": 8}}
    return cfg


def test_cell_trains_and_evaluates_outside_backbone(tmp_path):
    record = run(configured(tmp_path, "MeanOfWords"))
    assert record.status == "ok", record.reason
    assert record.bits_per_byte > 0 and record.generations[0]["greedy"] and record.brier_n is not None
    assert record.flops_per_position == record.head_flops_per_position + 24


class Attention(MeanOfWords):
    """Base of backbones that break a rule: attention of each word to a number of words before it."""

    def read(self, vectors, past):
        keys = vectors if past is None else torch.cat([past, vectors], 1)
        later = torch.ones(vectors.shape[1], keys.shape[1], dtype=torch.bool).triu(1 + keys.shape[1] - vectors.shape[1])
        scores = (vectors @ keys.mT).masked_fill(later, -torch.inf)
        return scores.softmax(-1) @ keys, keys


class Stateless(Attention):
    def forward(self, inputs, state=None):
        return self.read(self.words(inputs), None)[0], (self.words(inputs)[:, -1],)


class Growing(Attention):
    def forward(self, inputs, state=None):
        return self.read(self.words(inputs), state)


class Foreseeing(MeanOfWords):
    def forward(self, inputs, state=None):
        hidden, state = super().forward(inputs, state)
        return hidden + hidden.mean(1, keepdim=True), state


class Batched(MeanOfWords):
    def forward(self, inputs, state=None):
        hidden, state = super().forward(inputs, state)
        return hidden - hidden.mean(0, keepdim=True), state


class StepsFirst(MeanOfWords):
    def forward(self, inputs, state=None):
        if state is not None:
            state = {"count": state["count"], "sums": (state["sums"][0].T,)}
        hidden, state = super().forward(inputs, state)
        return hidden, {"count": state["count"], "sums": (state["sums"][0].T,)}


@pytest.mark.parametrize(
    ("backbone", "problem"),
    [
        (Stateless, "reading a text word by word, with its state, gives other hidden states than reading it whole"),
        (Growing, "its state changes its size with the number of words; give it a fixed size"),
        (Foreseeing, "the hidden state of a word depends on later words"),
        (Batched, "the hidden states of a sequence depend on the other sequences of its batch"),
        (StepsFirst, "the first dimension of a tensor of its state is not the number of sequences"),
    ],
)
def test_backbone_that_breaks_its_contract_is_refused_before_training(tmp_path, backbone, problem):
    with pytest.raises(SettingError) as raised:
        run(configured(tmp_path, backbone.__name__))
    assert str(raised.value) == f"backbone.trunk: {backbone.__name__}: {problem}; see bench.models.backbones.Backbone"
    assert not [*tmp_path.rglob("*.json")]


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("width", [None, 5])
def test_every_backbone_keeps_its_contract(name, width):
    torch.manual_seed(0)
    trunk = composed(f"backbone={name}", "backbone.trunk.hidden_size=8").backbone.trunk
    backbone = instantiate(trunk, vocabulary_size=30, input_width=width)
    before = torch.get_rng_state()
    check_contract(backbone)
    assert torch.equal(torch.get_rng_state(), before) and backbone.training


def test_class_that_is_not_a_backbone_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"^backbone\.trunk\._target_: .*NoBackbone is not a bench\.models\.backb"):
        run(configured(tmp_path, "NoBackbone"))


class BlockOfWords(MeanOfWords):
    """A backbone whose hidden states are others in parts of more than a hundred words."""

    def forward(self, inputs, state=None):
        hidden, after = super().forward(inputs, state)
        return (hidden + 1 if 100 < inputs.shape[1] < 160 else hidden), after


def test_backbone_that_fails_in_long_parts_alone_is_refused():
    with pytest.raises(SettingError, match="a text read in parts of 128 words, with its state, gives other"):
        check_contract(BlockOfWords(hidden_size=8, vocabulary_size=50))
