"""Slow references: each is a formula in plain loops."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

import numpy as np
import torch

from bench.models.causal_lm import SubwordModel
from factories.models import CORPUS


def naive_rank(scores: list[float], word: int, unk: int) -> float:
    if word == unk:
        return inf
    answers = [value for candidate, value in enumerate(scores) if candidate != unk]
    higher = sum(value > scores[word] for value in answers)
    return 1 + higher + (sum(value == scores[word] for value in answers) - 1) / 2


def kneser_ney(sequences: Sequence[Sequence[int]], alphabet: int, order: int) -> Callable[..., float]:
    """p(symbol, history): the formula alone, over tuples; the symbol `alphabet` pads the start."""
    counts = {order: Counter()}
    for sequence in sequences:
        padded = (alphabet,) * (order - 1) + tuple(sequence)
        counts[order].update(padded[t : t + order] for t in range(len(sequence)))
    for n in range(order - 1, 0, -1):
        counts[n] = Counter(gram[1:] for gram in counts[n + 1])  # distinct left neighbours
    ones = {n: sum(count == 1 for count in counts[n].values()) for n in counts}
    twos = {n: sum(count == 2 for count in counts[n].values()) for n in counts}
    discounts = {n: ones[n] / (ones[n] + 2 * twos[n]) if ones[n] else 0.5 for n in counts}
    after = {n: {} for n in counts}
    for n, grams in counts.items():
        for gram, count in grams.items():
            after[n].setdefault(gram[:-1], []).append(count)

    def p(symbol: int, history: tuple[int, ...]) -> float:
        n = len(history) + 1
        lower = p(symbol, history[1:]) if history else 1 / alphabet
        found = after[n].get(history)
        if found is None:
            return lower
        total, discount = sum(found), discounts[n]
        own = max(counts[n][(*history, symbol)] - discount, 0) / total
        return own + discount * len(found) / total * lower

    return p


@torch.inference_mode()
def log_word(model: SubwordModel, history: np.ndarray, spelling: np.ndarray) -> float:
    """log p of one word after a history of pieces, by one plain pass."""
    line = torch.from_numpy(np.concatenate([history, spelling]))
    logs = model.lm(line[None]).logits[0].double().log_softmax(-1)
    begins = logs[:, model.pieces.initial].logsumexp(-1)
    at = len(history) - 1
    spelt = logs[torch.arange(at, at + len(spelling)), line[at + 1 :]].sum()
    return float(spelt + begins[-1] - begins[at])


def history_of(model: SubwordModel, position: int, longest: int) -> np.ndarray:
    """Return the begin token and the pieces of the words before in the same document, the last `longest` of these."""
    start = CORPUS.test.starts[np.searchsorted(CORPUS.test.starts, position, side="right") - 1]
    before = model.pieces.encode_words(CORPUS.test.words[start:position])
    history = np.concatenate([[model.pieces.begin], before])[-longest:]
    if model.pieces.begin != model.pieces.end:
        history[0] = model.pieces.begin
    return history


def plain_generation(model: SubwordModel, prompt: list[str], count: int, longest: int = 24) -> list[str]:
    """Generate greedily, with a plain pass over the whole text for each piece; a word has at most `longest` pieces."""
    pieces = model.pieces
    line = [pieces.begin, *pieces.tokenizer.encode(" " + " ".join(prompt), add_special_tokens=False)]
    start = word_start = len(line)
    begins, begun_words = set(pieces.begins.nonzero()[0].tolist()), 0
    while True:
        scores = model.lm(torch.tensor([line]), use_cache=False).logits[0, -1].tolist()
        forced = len(line) == start or len(line) - word_start == longest
        allowed = begins if forced else set(range(len(scores))) - {pieces.begin, pieces.end}
        piece = max(allowed, key=scores.__getitem__)
        if piece in begins:
            begun_words, word_start = begun_words + 1, len(line)
        if begun_words > count:
            return pieces.decode(line[start:])
        line.append(piece)
