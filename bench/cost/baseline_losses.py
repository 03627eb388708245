"""Baseline losses: implementations of other libraries that a user would pick, on the same weights.

Legend: N positions, V words, H hidden size, k negatives.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cost.contender import Contender, Missing, Operations, require
from bench.cost.ledger import BASELINE
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.cost.torch_compile import compiled

NEGATIVES = 256  # words per step, as conf/system/sampled_softmax.yaml

CUTOFFS, NARROWING = (0.2, 0.6), 2.0  # as conf/system/adaptive_softmax.yaml

CHUNKINGS = {  # options of F.linear_cross_entropy; without options it computes all logits at once
    "linear_cross_entropy, chunks by its default": {},
    "linear_cross_entropy, chunks of 128": {"batch_chunk_size": 128, "chunking_method": None},
}


def shared_linear(inputs: SyntheticInputs) -> nn.Linear:
    """Return `nn.Linear` that shares the inputs' weights."""
    linear = nn.Linear(inputs.hidden_size, len(inputs.vocabulary), device="meta")
    linear.weight, linear.bias = nn.Parameter(inputs.weight), nn.Parameter(inputs.bias)
    return linear


def plain_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, words: Tensor) -> Tensor:
    """Compute the exact softmax loss in two calls. [N, H], [V, H], [V], [N] -> []"""
    return F.cross_entropy(F.linear(hidden, weight, bias), words)


def exact_softmax(name: str, make_loss: Callable[[SyntheticInputs], Callable[..., Tensor]]) -> Contender:
    """Return the contender of an exact softmax loss.

    Args:
        make_loss: returns a function with the signature of `plain_cross_entropy`; may raise Missing.
    """

    def build(inputs: SyntheticInputs) -> Operations:
        linear, loss = shared_linear(inputs), make_loss(inputs)
        return Operations(
            module=linear,
            loss=lambda hidden, words: loss(hidden, linear.weight, linear.bias, words),
            # logits, gradient of states, gradient of weights
            flops_per_position=lambda: 3 * 2 * inputs.hidden_size * len(inputs.vocabulary),
        )

    return Contender(name=f"{BASELINE}{name}", build=build)


def linear_cross_entropy(options: dict[str, Any], inputs: SyntheticInputs) -> Callable[..., Tensor]:
    """Make torch's F.linear_cross_entropy, which holds the logits of one chunk of positions at a time."""
    if not hasattr(F, "linear_cross_entropy"):
        raise Missing("F.linear_cross_entropy is not in this torch; pip install 'torch>=2.13'")
    chunking = nn.LinearCrossEntropyOptions(**options)
    return lambda hidden, weight, bias, words: F.linear_cross_entropy(
        hidden, weight, words, linear_bias=bias, options=chunking
    )


def require_gpu_kernels(module: str, inputs: SyntheticInputs) -> None:
    """Check that the device is a GPU and that the module is installed.

    Raises:
        Missing: the module's kernels cannot run.
    """
    if inputs.device.type != "cuda":
        raise Missing("the kernels need a GPU; use device=cuda")
    require(module, module.replace("_", "-"))


def liger(inputs: SyntheticInputs) -> Callable[..., Tensor]:
    """Make LinkedIn's fused linear cross-entropy (Liger-Kernel)."""
    require_gpu_kernels("liger_kernel", inputs)
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    fused = LigerFusedLinearCrossEntropyLoss()
    return lambda hidden, weight, bias, words: fused(weight, hidden, words, bias)


def cut_cross_entropy(inputs: SyntheticInputs) -> Callable[..., Tensor]:
    """Make Apple's cut cross-entropy (Wijmans et al. 2024), whose packaged release takes no bias."""
    require_gpu_kernels("cut_cross_entropy", inputs)
    from cut_cross_entropy import linear_cross_entropy

    if inputs.precision == "fp32":
        raise Missing("the kernels take 16-bit numbers; use precision=bf16")
    return lambda hidden, weight, _, words: linear_cross_entropy(hidden.bfloat16(), weight.bfloat16(), words)


def adaptive(inputs: SyntheticInputs) -> Operations:
    """Build torch's adaptive softmax (Grave et al. 2017)."""
    if inputs.precision == "bf16":
        raise Missing("torch's module fails under autocast; use precision=fp32")
    size = len(inputs.vocabulary)
    cutoffs = [round(cutoff * size) for cutoff in CUTOFFS]
    clusters = nn.AdaptiveLogSoftmaxWithLoss(inputs.hidden_size, size, cutoffs, div_value=NARROWING, head_bias=True)
    clusters.to(inputs.device)
    return Operations(
        module=clusters,
        loss=lambda hidden, words: clusters(hidden, words).loss,
        decode=lambda hidden, count: clusters.log_prob(hidden).topk(count).indices,
    )


def sampled(sparse: bool, inputs: SyntheticInputs) -> Operations:
    """Build sampled softmax as commonly written: shared draws, log-q correction, accidental hits masked.

    The k draws of a step are log-uniform and with replacement.

    Args:
        sparse: True for sparse gradients of the embedding rows.
    """
    size = len(inputs.vocabulary)
    rows = nn.Embedding(size, inputs.hidden_size, sparse=sparse, device="meta")
    offsets = nn.Embedding(size, 1, sparse=sparse, device="meta")
    rows.weight, offsets.weight = nn.Parameter(inputs.weight), nn.Parameter(inputs.bias[:, None])

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


BASELINE_LOSSES = [
    exact_softmax("linear + cross_entropy", lambda inputs: plain_cross_entropy),
    exact_softmax("torch.compile(linear + cross_entropy)", lambda inputs: compiled(plain_cross_entropy, inputs)),
    *(exact_softmax(name, partial(linear_cross_entropy, options)) for name, options in CHUNKINGS.items()),
    exact_softmax("liger fused linear cross-entropy", liger),
    exact_softmax("cut cross-entropy, no bias", cut_cross_entropy),
    Contender(name="peer:AdaptiveLogSoftmaxWithLoss", build=adaptive),
    Contender(name="peer:sampled softmax, dense gradient", build=partial(sampled, False)),
    Contender(name="peer:sampled softmax, Embedding(sparse=True)", build=partial(sampled, True)),
]
