"""Exact last layer of a BERT at selected positions: keys and values at all positions, all else at the selected ones.

B rows, T positions, at most k selected per row, P selected in all rows, D the width, h heads.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class LastLayer(nn.Module):
    """Replacement of a `BertLayer` that returns the selected positions, [1, P, D]; call `select` before each pass."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def select(self, at: Tensor, real: Tensor) -> None:
        """Set the positions of each row, and which of these are no padding. [B, k], [B, k] bool"""
        self.at, self.real = at, real

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, *_: object, **__: object) -> Tensor:
        inner = self.layer.attention.self
        selected = hidden.gather(1, self.at[..., None].expand(-1, -1, hidden.shape[-1]))  # [B, k, D]
        query, key, value = (
            part.unflatten(-1, (inner.num_attention_heads, -1)).transpose(1, 2)  # [B, h, ·, D / h]
            for part in (inner.query(selected), inner.key(hidden), inner.value(hidden))
        )
        mask = None if attention_mask is None else attention_mask[..., :1, :]  # the same at every position
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=inner.scaling)
        seen = seen.transpose(1, 2).flatten(2)[self.real]  # [P, D]
        return self.layer.feed_forward_chunk(self.layer.attention.output(seen, selected[self.real]))[None]


def shorten(model: nn.Module) -> LastLayer | None:
    """Replace a model's last layer if its architecture is known; otherwise return None and change nothing."""
    from transformers.models.bert.modeling_bert import BertLayer
    from transformers.models.roberta.modeling_roberta import RobertaLayer
    from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

    layers = getattr(getattr(model, "encoder", None), "layer", [])
    known = len(layers) and type(layers[-1]) in (BertLayer, RobertaLayer, XLMRobertaLayer)
    if not known or model.config.is_decoder or model.config._attn_implementation != "sdpa":
        return None
    layers[-1] = LastLayer(layers[-1])
    model.pooler = None  # the pooler would read a position that is not computed
    return layers[-1]
