"""Fréchet distance between two sets of texts, over sentence vectors. R texts of each set, D columns of a vector."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.targets.encoder import Encoder

Vectors = NDArray[np.float64]


def sentence_encoder(cache_dir: str) -> Encoder:
    """Return the embedded all-MiniLM-L6-v2, which reads whole texts in both directions.

    Raises:
        SettingError: the encoder is not installed.
    """
    return Encoder(None, context="bidirectional", special_tokens="both", cache_dir=cache_dir)


def sentence_vectors(encoder: Encoder, texts: list[list[str]]) -> Vectors:
    """Return the mean of each text's word vectors, scaled to length 1. [R, D]"""
    means = np.stack([encoder.vectors(text).mean(0).double().numpy() for text in texts])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def frechet_distance(first: Vectors, second: Vectors) -> float:
    """Return ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) (Heusel et al. 2017). [R, D], [R', D]

    With centred data X₁, X₂ the trace of (Σ₁ Σ₂)^½ is the sum of the singular values of X₁ X₂ᵀ / √((R − 1)(R' − 1)):
    an R × R' matrix instead of two D × D matrices, which would be singular for R < D.
    """
    centred = [each - each.mean(0) for each in (first, second)]
    scales = [1 / (len(each) - 1) for each in centred]
    mixed = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum() * (scales[0] * scales[1]) ** 0.5
    traces = sum(scale * np.square(each).sum() for scale, each in zip(scales, centred, strict=True))
    return float(np.square(first.mean(0) - second.mean(0)).sum() + traces - 2 * mixed)


def frechet_interval(first: Vectors, second: Vectors) -> tuple[float, float]:
    """Return a 95 % interval by the jackknife over pairs of texts: the i-th text of each set is left out together.

    A bootstrap would repeat texts, and the distance between sets grows with repeats. [R, D], [R, D]
    """
    count = len(first)
    without = np.array([frechet_distance(np.delete(first, i, 0), np.delete(second, i, 0)) for i in range(count)])
    error = ((count - 1) / count * np.square(without - without.mean()).sum()) ** 0.5
    distance, margin = frechet_distance(first, second), stats.t.ppf(0.975, count - 1) * error
    return float(max(0.0, distance - margin)), float(distance + margin)
