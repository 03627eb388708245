"""What all contenders are measured on, no corpus needed: random states, rows and targets, words as Zipf has them.

The spectra of states and rows fall as 1 / rank, as those of trained ones do: in uniform noise no word is near another,
and no index finds what is not there. N positions, V words, H hidden size, D target size.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets

TEXT = 10**9  # words of the corpus that never was

LOGIT_SPREAD = 3.0  # standard deviation of a word's logits, as after training


class ZipfVocabulary(Vocabulary):
    """V ids that fall as 1 / rank and stand for no word: what heads read of a Vocabulary."""

    def __init__(self, size: int):
        self.words, self.unk = range(size), 0
        share = 1 / np.arange(1, size + 1)
        self.counts = np.maximum(1, TEXT * share / share.sum()).astype(np.int64)  # [V]


@dataclass(frozen=True, eq=False, kw_only=True)
class SyntheticInputs:
    """One V. Contenders read it; they share `weight`, for at a million words each one weighs a gigabyte."""

    vocabulary: Vocabulary
    targets: Targets  # table [V, D]; on the CPU
    hidden: Tensor  # [N, H], wants a gradient
    words: Tensor  # [N]
    weight: Tensor  # [V, H]
    bias: Tensor  # [V]
    device: torch.device
    precision: str

    @property
    def positions(self) -> int:
        """N."""
        return len(self.words)

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.hidden.shape[1]

    @property
    def product_type(self) -> torch.dtype:
        """What matrix products are made in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def precise(self) -> AbstractContextManager:
        """Within, products are made in `precision`; weights stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def queries(self, count: int) -> tuple[Tensor, Tensor]:
        """States to decode and their true words. [n, H], [n]"""
        repeats = -(-count // self.positions)
        return self.hidden.detach().repeat(repeats, 1)[:count], self.words.repeat(repeats)[:count]


def make_inputs(
    *, size: int, positions: int, hidden_size: int, target_size: int, device: str, precision: str, seed: int
) -> SyntheticInputs:
    """The same for the same settings, to the bit.

    Raises:
        SettingError: a device that is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError("device", "torch finds no CUDA device here; use device=cpu")
    generator = torch.Generator().manual_seed(seed)
    vocabulary, place = ZipfVocabulary(size), torch.device(device)
    table = F.normalize(falling(size, target_size, generator), dim=-1)
    return SyntheticInputs(
        vocabulary=vocabulary,
        targets=Targets("random", "type", table),
        hidden=falling(positions, hidden_size, generator).to(place).requires_grad_(),
        words=zipf_words(vocabulary, positions, generator).to(place),
        weight=falling(size, hidden_size, generator).mul_(LOGIT_SPREAD / product_spread(hidden_size)).to(place),
        bias=torch.from_numpy(vocabulary.log_unigram).to(place),
        device=place,
        precision=precision,
    )


def falling(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Gaussian rows of about unit variance a column, most of it in the first ones."""
    return torch.randn(rows, columns, generator=generator).mul_(spectrum(columns))


def spectrum(columns: int) -> Tensor:
    """Standard deviations whose squares fall as 1 / rank and have mean 1. [columns]"""
    scale = torch.arange(1, columns + 1).rsqrt()
    return scale * (columns / scale.square().sum()).sqrt()


def product_spread(columns: int) -> float:
    """The standard deviation of inner products of such rows."""
    return float(spectrum(columns).pow(4).sum().sqrt())


def zipf_words(vocabulary: Vocabulary, count: int, generator: torch.Generator) -> Tensor:
    """One draw in each of `count` equal parts of the distribution, shuffled: no sample is nearer to Zipf. [N]

    What hangs on the words, as adaptive softmax's FLOPs do, has its expectation up to 1 / N.
    """
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum()).cumsum(0)
    at = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    drawn = torch.searchsorted(shares, at * shares[-1], right=True).clamp_(max=len(vocabulary) - 1)
    return drawn[torch.randperm(count, generator=generator)]
