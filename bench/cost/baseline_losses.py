"""The losses that a user would pick, on the scene's own weights: the same work, by other hands.

N positions, V words, H hidden size, k negatives.
"""

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cost.contender import Contender, Missing, Operations
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.cost.torch_compile import compiled

NEGATIVES = 256  # as conf/system/sampled_softmax.yaml

CUTOFFS, NARROWING = (0.2, 0.6), 2.0  # as conf/system/adaptive_softmax.yaml

CHUNKINGS = {  # options of F.linear_cross_entropy, which without any is cross_entropy of linear
    "linear_cross_entropy, chunks by its default": {},
    "linear_cross_entropy, chunks of 128": {"batch_chunk_size": 128, "chunking_method": None},
}


def layer(scene: SyntheticInputs) -> nn.Linear:
    """`nn.Linear` on the scene's memory."""
    linear = nn.Linear(scene.hidden_size, len(scene.vocabulary), device="meta")
    linear.weight, linear.bias = nn.Parameter(scene.weight), nn.Parameter(scene.bias)
    return linear


def three_products(scene: SyntheticInputs) -> float:
    """FLOPs a position of an exact softmax: logits, and the gradients of states and weights."""
    return 3 * 2 * scene.hidden_size * len(scene.vocabulary)


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, words: Tensor) -> Tensor:
    """What all exact ones compute. [N, H], [V, H], [V], [N] -> []"""
    return F.cross_entropy(F.linear(hidden, weight, bias), words)


def exact(name: str, loss: Callable[[SyntheticInputs], Callable[..., Tensor]]) -> Contender:
    """One of `plain`'s signature."""

    def build(scene: SyntheticInputs) -> Operations:
        linear, function = layer(scene), loss(scene)
        return Operations(
            module=linear,
            loss=lambda hidden, words: function(hidden, linear.weight, linear.bias, words),
            flops_per_position=lambda: three_products(scene),
            proportional=True,
        )

    return Contender(name=f"peer:{name}", build=build)


def linear_cross_entropy(options: dict[str, Any], scene: SyntheticInputs) -> Callable[..., Tensor]:
    """torch's own form, which holds the logits of a few positions at a time."""
    if not hasattr(F, "linear_cross_entropy"):
        raise Missing("F.linear_cross_entropy is not in this torch; pip install 'torch>=2.13'")
    how = nn.LinearCrossEntropyOptions(**options)
    return lambda hidden, weight, bias, words: F.linear_cross_entropy(
        hidden, weight, words, linear_bias=bias, options=how
    )


def on_a_gpu(package: str, scene: SyntheticInputs) -> None:
    """Raises Missing where its kernels cannot run."""
    if scene.device.type != "cuda":
        raise Missing("its kernels need a GPU; device=cuda")
    if importlib.util.find_spec(package) is None:
        raise Missing(f"pip install {package.replace('_', '-')}")


def liger(scene: SyntheticInputs) -> Callable[..., Tensor]:
    """LinkedIn's fused linear cross-entropy."""
    on_a_gpu("liger_kernel", scene)
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    fused = LigerFusedLinearCrossEntropyLoss()
    return lambda hidden, weight, bias, words: fused(weight, hidden, words, bias)


def cut(scene: SyntheticInputs) -> Callable[..., Tensor]:
    """Apple's cut cross-entropy."""
    on_a_gpu("cut_cross_entropy", scene)
    import cut_cross_entropy

    if scene.precision == "fp32":
        raise Missing("its kernels take 16-bit numbers; precision=bf16")
    return lambda hidden, weight, bias, words: cut_cross_entropy.linear_cross_entropy(
        hidden.bfloat16(), weight.bfloat16(), words, bias=bias.bfloat16()
    )


def adaptive(scene: SyntheticInputs) -> Operations:
    """torch's own module."""
    if scene.precision == "bf16":
        raise Missing("torch's module fails under autocast; precision=fp32")
    size = len(scene.vocabulary)
    cutoffs = [round(cutoff * size) for cutoff in CUTOFFS]
    clusters = nn.AdaptiveLogSoftmaxWithLoss(scene.hidden_size, size, cutoffs, div_value=NARROWING, head_bias=True)
    clusters.to(scene.device)
    return Operations(
        module=clusters,
        loss=lambda hidden, words: clusters(hidden, words).loss,
        decode=lambda hidden, count: clusters.log_prob(hidden).topk(count).indices,
    )


def sampled(sparse: bool, scene: SyntheticInputs) -> Operations:
    """As it is commonly written: k log-uniform draws with replacement, log q taken off, accidental hits masked."""
    size = len(scene.vocabulary)
    rows = nn.Embedding(size, scene.hidden_size, sparse=sparse, device="meta")
    offsets = nn.Embedding(size, 1, sparse=sparse, device="meta")
    rows.weight, offsets.weight = nn.Parameter(scene.weight), nn.Parameter(scene.bias[:, None])

    def log_expected(ids: Tensor) -> Tensor:
        return torch.log(NEGATIVES * (torch.log1p(1 / (ids + 1.0)) / math.log(size + 1)))

    def loss(hidden: Tensor, words: Tensor) -> Tensor:
        uniform = torch.rand(NEGATIVES, device=hidden.device)
        negatives = (torch.exp(uniform * math.log(size + 1)) - 1).long().clamp_(max=size - 1)
        true = (hidden * rows(words)).sum(-1) + offsets(words)[:, 0] - log_expected(words)  # [N]
        others = hidden @ rows(negatives).T + offsets(negatives)[:, 0] - log_expected(negatives)  # [N, k]
        others = others.masked_fill(negatives == words[:, None], torch.finfo(others.dtype).min)
        return F.cross_entropy(torch.cat([true[:, None], others], 1), torch.zeros_like(words))

    return Operations(module=nn.ModuleList([rows, offsets]), loss=loss)


PEERS = [
    exact("linear + cross_entropy", lambda scene: plain),
    exact("torch.compile(linear + cross_entropy)", lambda scene: compiled(plain, scene)),
    *(exact(name, partial(linear_cross_entropy, how)) for name, how in CHUNKINGS.items()),
    exact("liger fused linear cross-entropy", liger),
    exact("cut cross-entropy", cut),
    Contender(name="peer:AdaptiveLogSoftmaxWithLoss", build=adaptive),
    Contender(name="peer:sampled softmax, dense gradient", build=partial(sampled, False)),
    Contender(name="peer:sampled softmax, Embedding(sparse=True)", build=partial(sampled, True)),
]
