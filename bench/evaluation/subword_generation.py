"""Continuations of a prompt, piece by piece, by a model of word pieces."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.models.causal_lm import SubwordModel

LONGEST_WORD = 24  # pieces; generation ends a word that has as many


def generate(
    model: SubwordModel,
    prompt: list[int],
    count: int,
    *,
    greedy: bool,
    seed: int = 0,
    distribution: Callable[[Tensor], Tensor] = lambda logits: logits.softmax(-1),
) -> list[str]:
    """Return `count` words that continue the prompt, generated piece by piece; BOS and EOS are never chosen.

    Args:
        prompt: lexicon indices.
        greedy: take the likeliest piece each time; else draw from the distribution.
        seed: of the draws.
        distribution: logits of the next piece -> probabilities of the draw.
    """
    random = torch.Generator().manual_seed(seed)
    line = [model.pieces.begin, *model.pieces.encode_words(np.array(prompt, int)).tolist()]
    start = word_start = len(line)  # of the continuation, and of the word being written
    begins = torch.zeros(model.lm.config.vocab_size, dtype=torch.bool)
    begins[: len(model.pieces.begins)] = torch.from_numpy(model.pieces.begins)
    begun_words, window = 0, line[-model.context :]
    with model.evaluating():
        lines = model.read_lines([model.window(window)])
        scores = lines.logits
        while True:
            scores = scores[0].cpu()
            scores[[model.pieces.begin, model.pieces.end]] = -torch.inf
            scores[len(model.pieces.begins) :] = -torch.inf  # rows of the output without a piece
            if len(line) == start or len(line) - word_start == LONGEST_WORD:
                scores[~begins] = -torch.inf
            if greedy:
                piece = int(scores.argmax())
            else:
                piece = int(torch.multinomial(distribution(scores), 1, generator=random))
            if begins[piece]:
                begun_words, word_start = begun_words + 1, len(line)
            if begun_words > count:
                return model.pieces.decode(line[start:])
            line.append(piece)
            if len(window) == model.context:  # full: read the last half context again
                window = line[-(model.context // 2) :]
                lines = model.read_lines([model.window(window)])
                scores = lines.logits
            else:
                window = [*window, piece]
                scores = lines.extend(torch.tensor([piece], device=model.device))
