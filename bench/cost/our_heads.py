"""Contenders for the systems of the configuration tree that have a head: the head alone, and the whole model.

Legend: n queries, V words, H hidden size, D target size.
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
from bench.core.history import ADDED_SYSTEMS
from bench.cost.contender import LR, Contender, Operations
from bench.cost.flops import training_flops
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.evaluation.exact_decoder import ExactDecoder
from bench.heads import Head
from bench.models.row_adamw import RowAdamW, row_sparse_is_faster
from bench.models.word_batches import Batch, Inputs
from bench.models.word_model import WordModel

INITIALISERS = {nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_, Tensor.uniform_, Tensor.normal_}


def systems() -> Iterator[DictConfig]:
    """Yield the configuration of every system that has a head; a new file in conf/system/ is a new contender."""
    loader = GlobalHydra.instance().config_loader()
    for name in loader.get_group_options("system"):
        cfg = composed(name, str(loader.get_search_path()))
        if "head" in cfg.system:
            yield cfg


def identifying_systems() -> list[DictConfig]:
    """Return the systems that a ledger is named after: all with a head, except those of `ADDED_SYSTEMS`."""
    return [cfg for cfg in systems() if cfg.system.name not in ADDED_SYSTEMS]


@cache
def composed(name: str, _: str) -> DictConfig:
    """Compose the default configuration with this system, once per configuration tree: composing is slow."""
    return compose("config", [f"system={name}"])


def head_alone(cfg: DictConfig) -> Contender:
    """Return the contender whose loss, decoding and ranks start from hidden states."""

    def build(inputs: SyntheticInputs) -> Operations:
        head = make_head(cfg, inputs)
        head.row_sparse = row_sparse_is_faster(head.parameters(), inputs.device)  # as in training
        answers = ExactDecoder(head, inputs.vocabulary.unk)
        return Operations(
            module=head,
            loss=head.loss,
            adam=row_adam,
            decode=answers.best,
            rank=answers.ranks,
            searchable=None if answers.rows is None else (head.queries, *answers.rows),
        )

    return Contender(name=cfg.system.name, build=build, reads_targets="targets" in cfg.system.head)


def whole_model(cfg: DictConfig, backbone: DictConfig, *, streams: int) -> Contender:
    """Return the contender that has trunk and head; decoding runs one step of the trunk per query, then the head.

    Args:
        streams: rows B of a batch; must divide the number of positions.
    """

    def build(inputs: SyntheticInputs) -> Operations:
        if inputs.positions % streams:
            problem = f"{inputs.positions} is not a multiple of batch.streams = {streams}"
            raise SettingError("cost.positions", f"{problem}; give a multiple of {streams}")
        head = make_head(cfg, inputs)
        answers = ExactDecoder(head, inputs.vocabulary.unk)
        size = len(inputs.vocabulary)
        trunk = instantiate(backbone.trunk, vocabulary_size=size, input_width=None)
        model = WordModel(trunk, head, Inputs(inputs.vocabulary), lr=LR, weight_decay=0.0).to(inputs.device)
        words = inputs.words.view(streams, -1)  # [B, T]
        batch = Batch(words.roll(1, dims=1), words, None, fresh=True)
        model.use_sparse_gradients(row_sparse_is_faster(model.parameters(), inputs.device))

        def adam(_: Sequence[Parameter]) -> list[Optimizer]:
            """Make training's optimiser, and after it the update of the input rows that the next step reads."""
            catch_up = SimpleNamespace(step=lambda: model.apply_skipped_updates(batch.inputs), state={})
            return [with_skipped_steps(model.configure_optimizers()), catch_up]

        def states(hidden: Tensor) -> Tensor:
            model.eval()
            return trunk(inputs.queries(len(hidden))[1][:, None], None)[0][:, 0]

        return Operations(
            module=model,
            loss=lambda hidden, words: model.train().training_step(batch, 0),
            flops_per_position=lambda: training_flops(model, None, batch)["flops_per_position"],
            adam=adam,
            decode=lambda hidden, count: answers.best(states(hidden), count),
            rank=lambda hidden, words: answers.ranks(states(hidden), words),
        )

    return Contender(name=cfg.system.name, build=build, reads_targets="targets" in cfg.system.head)


def make_head(cfg: DictConfig, inputs: SyntheticInputs) -> Head:
    """Instantiate a system's head on the inputs' vocabulary, targets and weights."""
    parts: dict[str, Any] = {"hidden_size": inputs.hidden_size, "vocabulary": inputs.vocabulary}
    if "targets" in cfg.system.head:
        parts["targets"] = inputs.targets
    with SkipInitialisation(inputs.weight.shape):
        head = instantiate(cfg.system.head, _partial_=True, _recursive_=False)(**parts)
    share_weights(head.to(inputs.device), inputs)
    return head


class SkipInitialisation(TorchFunctionMode):
    """Leave weights of one shape uninitialised: drawing a million random rows takes longer than a step."""

    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape = shape

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        weight = args[0] if args else kwargs.get("tensor")
        return weight if function in INITIALISERS and weight.shape == self.shape else function(*args, **kwargs)


def share_weights(head: nn.Module, inputs: SyntheticInputs) -> None:
    """Replace every [V, H] matrix by the inputs' weight, and every projection to targets [D, H] by the identity.

    All softmaxes then do the same work in the same memory, and a regressor's predictions are near its targets.
    """
    projection = inputs.targets.table.shape[1], inputs.hidden_size
    for weight in head.parameters():
        if weight.shape == inputs.weight.shape:
            weight.data = inputs.weight
        elif weight.shape == projection:
            nn.init.eye_(weight)


def row_adam(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """Make training's optimiser."""
    return [with_skipped_steps(RowAdamW(parameters, lr=LR, weight_decay=0.0))]


def with_skipped_steps(optimizer: RowAdamW) -> RowAdamW:
    """Let each step find rows that have skipped a step, as in training: the cost sweep repeats one gradient."""

    def skip(optimizer: Optimizer, *_: Any) -> None:
        for weight, state in optimizer.state.items():
            if "last" in state and weight.grad is not None:
                state["last"].index_fill_(0, weight.grad._indices()[0], int(state["step"]) - 1)

    optimizer.register_step_post_hook(skip)
    return optimizer
