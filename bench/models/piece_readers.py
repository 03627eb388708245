"""Readers of word pieces for search, draws and generation: with the model's cache where this is exact, else without.

A line grows by one piece per read. A tree grows by Q nodes per read, each of which continues a node read before.
R rows, T pieces of the longest history, Q nodes per read, G nodes read so far, S distinct pieces.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from bench.core.errors import one_line

CELLS = 2**23  # numbers in a block of logits

TOLERANCE = 2**10 * torch.finfo(torch.float32).eps  # of the largest logit: rounding of sums over width and layers


def plain_logits(lm: Any, pieces: Tensor, kept: int | Tensor) -> Tensor:
    """Compute logits by a plain pass over whole rows: no cache, no mask, no position ids. [R, T] -> [R, K, S]

    Args:
        kept: the number K of last positions that are needed, or the indices of the needed positions. [K]
    """
    if "logits_to_keep" in inspect.signature(lm.forward).parameters:
        return lm(pieces, use_cache=False, logits_to_keep=kept).logits
    logits = lm(pieces, use_cache=False).logits
    return logits[:, -kept:] if isinstance(kept, int) else logits[:, kept]


def last_logits(lm: Any, pieces: Tensor, lengths: Tensor) -> Tensor:
    """Compute the logits after each row's last piece by plain passes; rows are padded at their ends. -> [R, S]"""
    logits = []
    rows = max(1, CELLS // (pieces.shape[1] * lm.config.vocab_size))
    for some, ends in zip(pieces.split(rows), (lengths - 1).split(rows), strict=True):
        kept, which = ends.unique(return_inverse=True)
        block = plain_logits(lm, some[:, : int(ends.max()) + 1], kept)
        logits.append(block[torch.arange(len(some), device=some.device), which].float())
    return torch.cat(logits)


class CachedLines:
    """R lines that are read with a cache; their histories end together, and a mask hides the padding before them."""

    def __init__(self, lm: Any, histories: list[Tensor]):
        self.lm, self.cache = lm, DynamicCache()
        lengths = torch.tensor([len(each) for each in histories], device=lm.device)
        pieces = pad_sequence(histories, batch_first=True, padding_side="left").to(lm.device)
        positions = torch.arange(pieces.shape[1], device=lm.device) - (pieces.shape[1] - lengths[:, None])
        self.mask, self.last = positions >= 0, lengths - 1
        self.logits = self.read(pieces, positions.clamp(min=0))  # [R, S] after the histories

    def read(self, pieces: Tensor, positions: Tensor) -> Tensor:
        """Return the logits after the last of the pieces. [R, T], [R, T] -> [R, S]"""
        return self.lm(
            pieces,
            attention_mask=self.mask.long(),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1].float()  # fmt: skip

    def keep(self, rows: Tensor) -> None:
        """Keep the lines of these indices, which may repeat."""
        self.cache.batch_select_indices(rows)
        self.mask, self.last = self.mask[rows], self.last[rows]

    def extend(self, pieces: Tensor) -> Tensor:
        """Append a piece to each line and return the logits after it. [R] -> [R, S]"""
        self.last = self.last + 1
        self.mask = F.pad(self.mask, (0, 1), value=True)
        return self.read(pieces[:, None], self.last[:, None])


class PlainLines:
    """R lines that are read whole at each step: valid for any causal architecture, and slower."""

    def __init__(self, lm: Any, histories: list[Tensor]):
        self.lm = lm
        self.lengths = torch.tensor([len(each) for each in histories], device=lm.device)
        self.pieces = pad_sequence(histories, batch_first=True).to(lm.device)  # [R, T], padded at the ends
        self.logits = last_logits(lm, self.pieces, self.lengths)  # [R, S] after the histories

    def keep(self, rows: Tensor) -> None:
        """Keep the lines of these indices, which may repeat."""
        self.pieces, self.lengths = self.pieces[rows], self.lengths[rows]

    def extend(self, pieces: Tensor) -> Tensor:
        """Append a piece to each line and return the logits after it. [R] -> [R, S]"""
        self.pieces = F.pad(self.pieces, (0, 1)).scatter(1, self.lengths[:, None], pieces[:, None])
        self.lengths = self.lengths + 1
        return last_logits(self.lm, self.pieces, self.lengths)


class CachedTree:
    """A tree behind each of R histories, in the cache; a mask shows each node its history and its ancestors alone."""

    def __init__(self, lm: Any, histories: list[Tensor]):
        self.lm, self.cache = lm, DynamicCache()
        self.length = torch.tensor([len(each) for each in histories], device=lm.device)  # [R]
        ends, which = (self.length - 1).unique(return_inverse=True)
        pieces = pad_sequence(histories, batch_first=True).to(lm.device)
        logits = lm(pieces, past_key_values=self.cache, use_cache=True, logits_to_keep=ends).logits
        self.logits = logits[torch.arange(len(histories), device=lm.device), which]  # [R, S] after the histories
        self.history = torch.arange(pieces.shape[1], device=lm.device) < self.length[:, None]  # [R, T]
        self.sees = torch.zeros(len(histories), 0, 0, dtype=torch.bool, device=lm.device)  # [R, G, G]

    def read(self, pieces: Tensor, parents: Tensor, levels: Tensor) -> Tensor:
        """Add nodes and return the logits after each. [R, Q] -> [R, Q, S]

        Args:
            pieces: the nodes' pieces. [R, Q]
            parents: number of the parent, in the order of reading, from 1; 0: the history. [R, Q]
            levels: the nodes' depths; children of the history have 1. [R, Q]
        """
        return self.lm(
            pieces,
            attention_mask=self.mask(parents),
            position_ids=self.length[:, None] + levels - 1,
            past_key_values=self.cache,
            use_cache=True,
        ).logits

    def mask(self, parents: Tensor) -> Tensor:
        """Record what new nodes see; return the mask: 0 if seen, else the least float. [R, Q] -> [R, 1, Q, T + G]"""
        rows, count = parents.shape
        lines = F.pad(self.sees, (0, 0, 1, 0))  # [R, 1 + G, G]
        above = lines.gather(1, parents[..., None].expand(-1, -1, lines.shape[2]))  # [R, Q, G]
        own = torch.eye(count, dtype=torch.bool, device=parents.device).expand(rows, -1, -1)
        new = torch.cat([above, own], -1)
        self.sees = torch.cat([F.pad(self.sees, (0, count)), new], 1)
        seen = torch.cat([self.history[:, None].expand(-1, count, -1), new], -1)[:, None]
        return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, torch.finfo(torch.float32).min)

    def keep(self, rows: Tensor) -> None:
        """Keep the trees of these indices."""
        self.cache.batch_select_indices(rows)
        self.length, self.history, self.sees = self.length[rows], self.history[rows], self.sees[rows]


class PlainTree:
    """A tree after each of R histories; each node is read by a plain pass over its history and its path."""

    def __init__(self, lm: Any, histories: list[Tensor]):
        self.lm = lm
        self.length = torch.tensor([len(each) for each in histories], device=lm.device)  # [R]
        self.history = pad_sequence(histories, batch_first=True).to(lm.device)  # [R, T], padded at the ends
        self.logits = last_logits(lm, self.history, self.length)  # [R, S] after the histories
        self.paths = self.history.new_zeros(len(histories), 1, 0)  # [R, 1 + G, K], padded at the ends

    def read(self, pieces: Tensor, parents: Tensor, levels: Tensor) -> Tensor:
        """Add nodes and return the logits after each, as `CachedTree.read` does."""
        self.paths = F.pad(self.paths, (0, max(0, int(levels.max()) - self.paths.shape[2])))
        depth = self.paths.shape[2]
        paths = self.paths.gather(1, parents[..., None].expand(-1, -1, depth)).scatter(
            2, levels[..., None] - 1, pieces[..., None]
        )  # [R, Q, K]
        self.paths = torch.cat([self.paths, paths], 1)
        places = self.length[:, None] + torch.arange(depth, device=pieces.device)  # [R, K]
        lines = F.pad(self.history, (0, depth))[:, None].expand(-1, pieces.shape[1], -1)
        lines = lines.scatter(2, places[:, None].expand_as(paths), paths)  # [R, Q, T + K]
        lengths = (self.length[:, None] + levels).flatten()
        return last_logits(self.lm, lines.flatten(0, 1), lengths).unflatten(0, pieces.shape)

    def keep(self, rows: Tensor) -> None:
        """Keep the trees of these indices."""
        self.length, self.history, self.paths = self.length[rows], self.history[rows], self.paths[rows]


def cache_problem(lm: Any, context: int, pieces: int) -> str | None:
    """Return why reads with the model's cache differ from plain passes, on a small tree and on lines; None if equal.

    Sliding windows, local attention, recurrent states, ALiBi and learnt position offsets can each make a tree read or
    a padded line differ. The histories are as long as the context allows, so that a window shows.

    Args:
        context: C, most pieces of a row.
        pieces: ids below this number occur.
    """
    random = torch.Generator().manual_seed(0)
    line = torch.randint(pieces, (2, context), generator=random).to(lm.device)
    histories, (first, second, third) = [line[0, :-3], line[1, : context // 2]], line[:, -6:].split(2, 1)
    zero, two = torch.zeros_like(first), torch.tensor([[2, 1]], device=lm.device)

    def tree(kind: Callable) -> list[Tensor]:
        reader = kind(lm, histories)
        logits = [reader.logits, reader.read(first, zero, zero + 1), reader.read(second, two.expand(2, -1), zero + 2)]
        reader.keep(torch.tensor([1], device=lm.device))
        return [*logits, reader.read(third[1:], two + 2, zero[1:] + 3)]

    def lines(kind: Callable) -> list[Tensor]:
        reader = kind(lm, histories)
        reader.keep(torch.tensor([0, 1, 0], device=lm.device))
        return [reader.logits, reader.extend(first[[0, 1, 1], 0]), reader.extend(second[[0, 1, 1], 0])]

    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        plain = [*tree(PlainTree), *lines(PlainLines)]
        try:
            cached = [*tree(CachedTree), *lines(CachedLines)]
        except Exception as error:  # architectures refuse a cache, a mask or positions by errors of many types
            return one_line(error)
    finally:
        torch.set_float32_matmul_precision(precision)
    for one, other in zip(cached, plain, strict=True):
        if not float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max()):
            return "reads with and without its cache differ"
    return None
