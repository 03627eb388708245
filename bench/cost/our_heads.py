"""The systems of the configuration tree that have a head, as contenders: the head alone, and the whole model.

n queries, V words, H hidden size, D target size.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from bench.core.errors import SettingError
from bench.cost.contender import LR, Contender, Operations
from bench.cost.flops import training_flops
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.evaluation.decoding import ExactDecoder
from bench.heads import Head
from bench.models.row_adamw import RowAdamW
from bench.models.word_batches import Batch, Inputs
from bench.models.word_model import WordModel

DRAWING = {nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_, Tensor.uniform_, Tensor.normal_}


def systems() -> Iterator[DictConfig]:
    """The configuration of every system that has a head, by the group's files: one more file is one more contender."""
    loader = GlobalHydra.instance().config_loader()
    for name in loader.get_group_options("system"):
        cfg = composed(name, str(loader.get_search_path()))
        if "head" in cfg.system:
            yield cfg


@cache
def composed(name: str, _: str) -> DictConfig:
    """The default configuration with this system; once for each tree, as it takes a while."""
    return compose("config", [f"system={name}"])


def head_alone(cfg: DictConfig) -> Contender:
    """Loss, decoding and ranks from hidden states on."""

    def build(scene: SyntheticInputs) -> Operations:
        head = make_head(cfg, scene)
        head.row_sparse = True  # as RowAdamW takes them
        answers = ExactDecoder(head, scene.vocabulary.unk)
        return Operations(
            module=head,
            loss=head.loss,
            adam=row_adam,
            decode=answers.best,
            rank=answers.ranks,
            searched=None if answers.rows is None else (head.queries, *answers.rows),
        )

    return Contender(name=cfg.system.name, build=build, reads_targets="targets" in cfg.system.head)


def whole_model(cfg: DictConfig, backbone: DictConfig, *, streams: int) -> Contender:
    """Trunk and head; decoding is a step of the trunk for every query, and the head's answer."""

    def build(scene: SyntheticInputs) -> Operations:
        if scene.positions % streams:
            raise SettingError("cost.positions", f"{scene.positions} is no multiple of batch.streams = {streams}")
        head = make_head(cfg, scene)
        answers = ExactDecoder(head, scene.vocabulary.unk)
        size = len(scene.vocabulary)
        trunk = instantiate(backbone.trunk, vocabulary_size=size, input_width=None)
        model = WordModel(trunk, head, Inputs(scene.vocabulary), lr=LR, weight_decay=0.0).to(scene.device)
        words = scene.words.view(streams, -1)  # [B, T]
        batch = Batch(words.roll(1, dims=1), words, None, fresh=True)

        def adam(_: Sequence[Parameter]) -> list[Optimizer]:
            """What training uses, and after it what brings the input layer up to date for the next step."""
            catching_up = SimpleNamespace(step=lambda: model.apply_skipped_updates(batch.inputs), state={})
            return [model.configure_optimizers(), catching_up]

        def states(hidden: Tensor) -> Tensor:
            model.eval()
            return trunk(scene.queries(len(hidden))[1][:, None], None)[0][:, 0]

        return Operations(
            module=model,
            loss=lambda hidden, words: model.train().training_step(batch, 0),
            flops_per_position=lambda: training_flops(model, None, batch)["flops_per_position"],
            adam=adam,
            decode=lambda hidden, count: answers.best(states(hidden), count),
            rank=lambda hidden, words: answers.ranks(states(hidden), words),
        )

    return Contender(name=cfg.system.name, build=build, reads_targets="targets" in cfg.system.head)


def make_head(cfg: DictConfig, scene: SyntheticInputs) -> Head:
    """Any head on the scene's vocabulary and targets."""
    parts: dict[str, Any] = {"hidden_size": scene.hidden_size, "vocabulary": scene.vocabulary}
    if "targets" in cfg.system.head:
        parts["targets"] = scene.targets
    with Unfilled(scene.weight.shape):
        head = instantiate(cfg.system.head, _partial_=True, _recursive_=False)(**parts)
    share(head.to(scene.device), scene)
    return head


class Unfilled(TorchFunctionMode):
    """Leaves random weights of one shape as they were allocated: drawing a million rows takes longer than a step."""

    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape = shape

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = args[0] if args else kwargs.get("tensor")
        return given if function in DRAWING and given.shape == self.shape else function(*args, **kwargs)


def share(head: nn.Module, scene: SyntheticInputs) -> None:
    """A matrix of a row a word becomes the scene's own, and a projection to targets the identity.

    So all softmaxes do the same work in the same memory, and what a regressor predicts lies among its targets.
    """
    projection = scene.targets.table.shape[1], scene.hidden_size
    for weight in head.parameters():
        if weight.shape == scene.weight.shape:
            weight.data = scene.weight
        elif weight.shape == projection:
            nn.init.eye_(weight)


def row_adam(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """What training uses."""
    return [RowAdamW(parameters, lr=LR, weight_decay=0.0)]
