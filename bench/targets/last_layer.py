"""A BERT's last layer where it is read alone: keys and values of all positions, all else of those asked for. Exact.

B rows, T positions, k asked for a row at most, P of all rows together, D the width, h heads.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class LastLayer(nn.Module):
    """Takes the place of a `BertLayer` or one of its equals; `ask` comes before each pass, which gives [1, P, D]."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def ask(self, at: Tensor, real: Tensor) -> None:
        """Positions of each row, and which of them are more than filling. [B, k], [B, k] bool"""
        self.at, self.real = at, real

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, *_: object, **__: object) -> Tensor:
        inner = self.layer.attention.self
        asked = hidden.gather(1, self.at[..., None].expand(-1, -1, hidden.shape[-1]))  # [B, k, D]
        query, key, value = (
            part.unflatten(-1, (inner.num_attention_heads, -1)).transpose(1, 2)  # [B, h, ·, D / h]
            for part in (inner.query(asked), inner.key(hidden), inner.value(hidden))
        )
        mask = None if attention_mask is None else attention_mask[..., :1, :]  # a row sees the same from everywhere
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=inner.scaling)
        seen = seen.transpose(1, 2).flatten(2)[self.real]  # [P, D]
        return self.layer.feed_forward_chunk(self.layer.attention.output(seen, asked[self.real]))[None]


def shorten(model: nn.Module) -> LastLayer | None:
    """Put one in place where the architecture is known to allow it; None, and nothing done, elsewhere."""
    from transformers.models.bert.modeling_bert import BertLayer
    from transformers.models.roberta.modeling_roberta import RobertaLayer
    from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

    layers = getattr(getattr(model, "encoder", None), "layer", [])
    known = len(layers) and type(layers[-1]) in (BertLayer, RobertaLayer, XLMRobertaLayer)
    if not known or model.config.is_decoder or model.config._attn_implementation != "sdpa":
        return None
    layers[-1] = LastLayer(layers[-1])
    model.pooler = None  # it would read a position that is no more there
    return layers[-1]
