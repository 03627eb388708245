"""Last hidden states of a causal LM, for a loss that computes no logits. R rows, T pieces, H hidden size."""

from typing import Any

import torch
from torch import Tensor, nn


def last_states(lm: Any, pieces: Tensor) -> Tensor:
    """Compute the states that a linear output layer reads. [R, T] -> [R, T, H]"""
    return lm.base_model(pieces, use_cache=False).last_hidden_state


def has_linear_output(lm: Any) -> bool:
    """True if the logits are exactly the output layer of the last hidden states: no cap, scale or other layer between.

    Few pieces suffice: the comparison is of every bit, and a cap or a scale changes the last bits of some logit.
    """
    output = lm.get_output_embeddings()
    if not isinstance(output, nn.Linear) or lm.base_model is lm:
        return False
    pieces = torch.arange(8, device=lm.device)[None]
    states = getattr(lm.base_model(pieces, use_cache=False), "last_hidden_state", None)
    return states is not None and torch.equal(lm(pieces, use_cache=False).logits, output(states))
