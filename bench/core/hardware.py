"""What a device computes in itself, and does not only imitate."""

from typing import Any

import torch


def computes_bf16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def mixed(*, precision: str, otherwise: str, **settings: Any) -> dict[str, Any]:
    """A trainer's settings, with `precision` where the device itself computes in bfloat16."""
    able = torch.cuda.is_available() and computes_bf16(torch.device("cuda"))
    return {**settings, "precision": precision if able else otherwise}
