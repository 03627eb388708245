"""Two draws of the next words from a model of word pieces, piece by piece, for BrierLM.

A word is drawn by the rule of its probability: the first piece among those that can begin a word, then piece by piece
until a piece begins the next word. M positions, R draws that can still agree, S distinct pieces.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.text import Text
from bench.evaluation import brier_lm
from bench.evaluation.block_scores import draw
from bench.evaluation.subword_search import initial_pieces
from bench.models.causal_lm import SubwordModel
from bench.models.piece_readers import CELLS


def brier_n(model: SubwordModel, text: Text, positions: np.ndarray) -> np.ndarray:
    """Return one estimate of Brier-1 … Brier-4 per position. [M] -> [M, 4] float32

    A draw that spells a word in other pieces than the tokeniser's is another word, as in the word's probability.
    """
    line, first = model.pieces.encode_text(text), model.pieces.first_pieces(text)[positions]
    begins = model.pieces.document_edges(text)[0]
    start = np.maximum(begins[np.searchsorted(begins, first) - 1], first - model.context // 2)
    random = torch.Generator(model.device).manual_seed(brier_lm.SEED)
    order = np.argsort(first - start, kind="stable")  # equal histories side by side
    rows = max(1, CELLS // model.lm.config.vocab_size)
    counts = np.zeros((len(positions), 3), np.int64)
    for some in (order[i : i + rows] for i in range(0, len(order), rows)):
        with model.evaluating():
            counts[some] = common_words(model, line, first[some], start[some], random).cpu().numpy()
    return brier_lm.estimates_of(*counts.T)


def common_words(
    model: SubwordModel, line: np.ndarray, first: np.ndarray, start: np.ndarray, random: torch.Generator
) -> Tensor:
    """Count the leading words that each of two draws shares with the text, and the draws with each other. [M, 3]

    Args:
        line: pieces of the text. [P]
        first: positions in the line of the first piece of the words to draw. [M]
        start: positions in the line of the first piece of the histories. [M]
    """
    device, end = model.device, model.pieces.end
    initial = initial_pieces(model).bool()
    lines = model.read_lines([model.window(line[i:j]) for i, j in zip(start, first, strict=True)])
    begin = F.softmax(lines.logits.masked_fill(~initial, -torch.inf), -1)
    drawn = draw(begin, 2, random)  # [M, 2] pieces
    lines.keep(torch.arange(len(first), device=device).repeat_interleave(2))
    owner = torch.arange(len(first), device=device).repeat_interleave(2)  # [R]
    branch = torch.arange(2, device=device).repeat(len(first))
    counts = torch.zeros(len(first), 3, dtype=torch.long, device=device)
    together = torch.ones(len(first), 3, dtype=torch.bool, device=device)  # with the text: one, other; with each other
    for step in range(model.context // 2):
        true = torch.from_numpy(line[np.minimum(first + step, len(line) - 1)]).to(device)
        one, other = drawn[:, [0, 1, 0]], torch.stack([true, true, drawn[:, 1]], 1)
        if step:
            counts += together & initial[one] & initial[other]  # a word has ended in both
        together &= (one == other) & (one != end) & (counts < brier_lm.MOST_WORDS)
        rows = (together[owner, branch] | together[owner, 2]).nonzero()[:, 0]
        if not len(rows):
            break
        lines.keep(rows)
        owner, branch = owner[rows], branch[rows]
        share = F.softmax(lines.extend(drawn[owner, branch]), -1)
        drawn[owner, branch] = draw(share, 1, random)[:, 0]
    return counts
