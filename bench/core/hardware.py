"""Hardware support for bfloat16 (not emulated)."""

from typing import Any

import torch


def computes_bf16(device: torch.device) -> bool:
    """True if the device multiplies matrices in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def mixed(*, precision: str, otherwise: str, **settings: Any) -> dict[str, Any]:
    """Return a trainer's settings with `precision` if the GPU computes in bfloat16, else with `otherwise`."""
    able = torch.cuda.is_available() and computes_bf16(torch.device("cuda"))
    return {**settings, "precision": precision if able else otherwise}
