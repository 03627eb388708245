"""Two draws of the next words from a model of word pieces, piece by piece, for BrierLM.

A word is drawn as it is priced: its first piece among those that can begin a word, then
piece by piece until one begins the next. M positions, R draws still of use, T pieces of the longest history.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from bench.data.corpus import Text
from bench.evaluation import brier_lm
from bench.models.causal_lm import SubwordModel

CELLS = 2**23  # of a block of logits


def brier_n(model: SubwordModel, text: Text, positions: np.ndarray) -> np.ndarray:
    """One estimate of Brier-1 … Brier-4 each. [M] -> [M, 4] float32

    A draw that spells a word in other pieces than the tokeniser would is another word, as it is in the word's price.
    """
    line, first = model.pieces.encode_text(text), model.pieces.first_pieces(text)[positions]
    bounds = np.flatnonzero(line == model.pieces.boundary)
    start = np.maximum(bounds[np.searchsorted(bounds, first) - 1], first - model.context // 2)
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
    """Words that two draws share with the text, and with each other, before they part. [M, 3]

    Args:
        line: pieces of the text.
        first: where the word to draw begins in it. [M]
        start: where its history does. [M]
    """
    device, boundary = model.device, model.pieces.boundary
    initial = torch.zeros(model.lm.config.vocab_size, dtype=torch.bool, device=device)
    initial[torch.from_numpy(model.pieces.initial)] = True
    places = first[:, None] + np.arange(-(first - start).max(), 0)  # [M, T], the histories end together
    mask = torch.from_numpy(places >= start[:, None]).to(device)
    last = torch.from_numpy(first - start - 1).to(device)  # position of the history's last piece
    cache = DynamicCache()

    def after(pieces: Tensor, positions: Tensor) -> Tensor:
        """Logits of the piece that comes next. [R, S]"""
        return model.lm(
            pieces,
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1].float()  # fmt: skip

    history = torch.from_numpy(line[np.maximum(places, 0)]).to(device)
    logits = after(history, torch.from_numpy(np.maximum(places - start[:, None], 0)).to(device))
    begin = F.softmax(logits.masked_fill(~initial, -torch.inf), -1)
    drawn = torch.multinomial(begin, 2, replacement=True, generator=random)  # [M, 2] pieces
    cache.batch_repeat_interleave(2)
    mask, last = mask.repeat_interleave(2, 0), last.repeat_interleave(2)
    owner = torch.arange(len(first), device=device).repeat_interleave(2)  # [R]
    branch = torch.arange(2, device=device).repeat(len(first))
    counts = torch.zeros(len(first), 3, dtype=torch.long, device=device)
    together = torch.ones(len(first), 3, dtype=torch.bool, device=device)  # with the text: one, other; with each other
    for step in range(model.context // 2):
        true = torch.from_numpy(line[np.minimum(first + step, len(line) - 1)]).to(device)
        one, other = drawn[:, [0, 1, 0]], torch.stack([true, true, drawn[:, 1]], 1)
        if step:
            counts += together & initial[one] & initial[other]  # a word has ended in both
        together &= (one == other) & (one != boundary) & (counts < brier_lm.MOST_WORDS)
        rows = (together[owner, branch] | together[owner, 2]).nonzero()[:, 0]
        if not len(rows):
            break
        cache.batch_select_indices(rows)
        owner, branch, last = owner[rows], branch[rows], last[rows] + 1
        mask = F.pad(mask[rows], (0, 1), value=True)
        share = F.softmax(after(drawn[owner, branch][:, None], last[:, None]), -1)
        drawn[owner, branch] = torch.multinomial(share, 1, generator=random)[:, 0]
    return counts
