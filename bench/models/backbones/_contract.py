"""Check of a new backbone before it is trained. B sequences, T steps, E input width, V vocabulary size."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from bench.core.errors import SettingError
from bench.models.backbones import Backbone
from bench.models.language_model import rows_of

STEPS = 6  # words of a sequence that is read word by word

LONG, PARTS = 160, (128, 64)  # words of a sequence that is read in parts, as evaluation reads a text; words of a part

TOLERANCE = 1e-3  # of the largest hidden state; in float32, parts and the whole differ by rounding alone


def check_contract(backbone: Backbone) -> None:
    """Check that a backbone gives two short sequences the same hidden states in whole and in parts.

    A backbone that ignores its state would be scored on a context of one word, and no figure would show this.

    Raises:
        SettingError: hidden states depend on later words, on other sequences or on where a text is cut; or the state
            changes its size with the number of words.
    """
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            problem = broken_rule(backbone, inputs_of(backbone, STEPS)) or broken_parts(backbone)
    finally:
        backbone.train(was_training)
    if problem:
        name = type(backbone).__name__
        raise SettingError("backbone.trunk", f"{name}: {problem}; see bench.models.backbones.Backbone")


def inputs_of(backbone: Backbone, steps: int) -> Tensor:
    """Return two random sequences: ids [2, T], or vectors [2, T, E]."""
    generator = torch.Generator().manual_seed(0)
    if backbone.input_width is None:
        return torch.randint(backbone.vocabulary_size, (2, steps), generator=generator)
    return torch.randn(2, steps, backbone.input_width, generator=generator)


def broken_parts(backbone: Backbone) -> str | None:
    """Return a problem if a longer text, read in parts, gives other hidden states than read whole; else None."""
    inputs = inputs_of(backbone, LONG)
    whole, _ = backbone(inputs)
    for length in PARTS:
        parts, state = [], None
        for part in inputs.split(length, 1):
            hidden, state = backbone(part, state)
            parts.append(hidden)
        if float((torch.cat(parts, 1) - whole).abs().max()) > TOLERANCE * float(whole.abs().max()):
            return f"a text read in parts of {length} words, with its state, gives other hidden states than read whole"
    return None


def broken_rule(backbone: Backbone, inputs: Tensor) -> str | None:
    """Return the first rule of the contract that a backbone breaks; None if it keeps all."""
    whole, _ = backbone(inputs)
    near = TOLERANCE * float(whole.abs().max())

    def differs(hidden: Tensor, expected: Tensor) -> bool:
        return hidden.shape != expected.shape or float((hidden - expected).abs().max()) > near

    first, state = backbone(inputs[:, :1])
    if differs(first, whole[:, :1]):
        return "the hidden state of a word depends on later words"
    sizes = [leaf.shape for leaf in tree_leaves(state)]
    parts = [first]
    for step in range(1, STEPS):
        hidden, state = backbone(inputs[:, step : step + 1], state)
        parts.append(hidden)
        if [leaf.shape for leaf in tree_leaves(state)] != sizes:
            return "its state changes its size with the number of words; give it a fixed size"
    if differs(torch.cat(parts, 1), whole):
        return "reading a text word by word, with its state, gives other hidden states than reading it whole"
    if any(size[0] != len(inputs) for size in sizes):
        return "the first dimension of a tensor of its state is not the number of sequences"
    alone, _ = backbone(inputs[1:, -1:], rows_of(backbone(inputs[:, :-1])[1], slice(1, None)))
    if differs(alone, whole[1:, -1:]):
        return "the hidden states of a sequence depend on the other sequences of its batch"
    return None
