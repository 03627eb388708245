"""Inputs of all contenders, without a corpus: random states, rows and targets, and words by Zipf's law.

The spectra of states and rows fall as 1 / rank, as the spectra of trained states and rows do: in uniform noise no word
is near another, and an approximate index has nothing to find.

Legend: N positions, n queries, V words, H hidden size, D target size.
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

TEXT_WORDS = 10**9  # words of the imagined training text; sets the counts

LOGIT_SPREAD = 3.0  # standard deviation of a word's logits over states, about that of a trained model


class ZipfVocabulary(Vocabulary):
    """V ids without words, whose counts fall as 1 / rank: the part of a Vocabulary that heads read."""

    def __init__(self, size: int):
        self.words, self.unk = range(size), 0
        share = 1 / np.arange(1, size + 1)
        self.counts = np.maximum(1, TEXT_WORDS * share / share.sum()).astype(np.int64)  # [V]


@dataclass(frozen=True, eq=False, kw_only=True)
class SyntheticInputs:
    """Inputs at one V. Contenders share `weight`: at a million words a copy takes a gigabyte."""

    vocabulary: Vocabulary
    targets: Targets  # table [V, D]; on the CPU
    hidden: Tensor  # [N, H], requires a gradient
    words: Tensor  # [N]
    weight: Tensor  # [V, H]
    bias: Tensor  # [V]
    device: torch.device
    precision: str

    @property
    def positions(self) -> int:
        """Number of positions, N."""
        return len(self.words)

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states, H."""
        return self.hidden.shape[1]

    @property
    def product_type(self) -> torch.dtype:
        """Return the data type of matrix products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager:
        """Return a context in which matrix products have `precision`; weights stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def queries(self, count: int) -> tuple[Tensor, Tensor]:
        """Return states to decode and the true next words; short inputs are repeated. [n, H], [n]"""
        repeats = -(-count // self.positions)
        return self.hidden.detach().repeat(repeats, 1)[:count], self.words.repeat(repeats)[:count]


def make_inputs(
    *, size: int, positions: int, hidden_size: int, target_size: int, device: str, precision: str, seed: int
) -> SyntheticInputs:
    """Draw the inputs; equal arguments give equal inputs, to the bit.

    Raises:
        SettingError: the device is missing.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError("device", "torch finds no CUDA device here; use device=cpu")
    generator = torch.Generator().manual_seed(seed)
    vocabulary, torch_device = ZipfVocabulary(size), torch.device(device)
    table = F.normalize(gaussian_rows(size, target_size, generator), dim=-1)
    return SyntheticInputs(
        vocabulary=vocabulary,
        targets=Targets("random", "type", table),
        hidden=gaussian_rows(positions, hidden_size, generator).to(torch_device).requires_grad_(),
        words=zipf_words(vocabulary, positions, generator).to(torch_device),
        weight=gaussian_rows(size, hidden_size, generator)
        .mul_(LOGIT_SPREAD / product_spread(hidden_size))
        .to(torch_device),
        bias=torch.from_numpy(vocabulary.log_unigram).to(torch_device),
        device=torch_device,
        precision=precision,
    )


def gaussian_rows(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Draw Gaussian rows of mean variance 1 per column; the variance falls from column to column. [rows, columns]"""
    return torch.randn(rows, columns, generator=generator).mul_(spectrum(columns))


def spectrum(columns: int) -> Tensor:
    """Return standard deviations whose squares fall as 1 / rank and have mean 1. [columns]"""
    scale = torch.arange(1, columns + 1).rsqrt()
    return scale * (columns / scale.square().sum()).sqrt()


def product_spread(columns: int) -> float:
    """Return the standard deviation of inner products of two rows of `gaussian_rows`."""
    return float(spectrum(columns).pow(4).sum().sqrt())


def zipf_words(vocabulary: Vocabulary, count: int, generator: torch.Generator) -> Tensor:
    """Draw one word from each of N equal parts of the distribution and shuffle: the sample closest to Zipf's law. [N]

    A figure that depends on the words (adaptive softmax's FLOPs) is then its expectation up to 1 / N.
    """
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum()).cumsum(0)
    quantiles = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    drawn = torch.searchsorted(shares, quantiles * shares[-1], right=True).clamp_(max=len(vocabulary) - 1)
    return drawn[torch.randperm(count, generator=generator)]
