"""Exact rank of a word in a vocabulary under a model of word pieces: best-first search over the vocabulary's trie.

M searched positions, R of them at a time.
"""

import numpy as np
import torch
from torch import Tensor

from bench.data.text import Text
from bench.evaluation.subword_trie import Trie
from bench.models.causal_lm import SubwordModel
from bench.models.piece_readers import CELLS

SAFE_SUMS = 1e-25, 1e30  # sums of exponentials in which terms that underflow float32 are negligible
NODES_PER_ROUND = 8  # fewer nodes need more rounds; more nodes cause reads that a later bound would spare


def search(model: SubwordModel, text: Text, positions: np.ndarray, trie: Trie, k: int = 10) -> np.ndarray:
    """Return the exact ranks of the true words; infinite beyond k and out of vocabulary. [M] float32

    A history is the longest that leaves room for the longest word, and at least half a context.
    """
    line, before = model.pieces.encode_text(text), model.pieces.first_pieces(text)[positions] - 1
    begins = model.pieces.document_edges(text)[0]
    start = begins[np.searchsorted(begins, before, side="right") - 1]
    start = np.maximum(start, before + 1 - (model.context - trie.depth))
    goals = trie.node_of[text.words[positions]]  # [M]
    ranks = np.full(len(positions), np.inf, np.float32)
    known = np.flatnonzero(goals >= 0)
    known = known[np.argsort((before - start)[known], kind="stable")]  # equal histories side by side
    rows = min(64, max(1, CELLS // max(len(trie), NODES_PER_ROUND * model.lm.config.vocab_size)))
    for some in (known[i : i + rows] for i in range(0, len(known), rows)):
        histories = [model.window(line[start[i] : before[i] + 1]) for i in some]
        with model.evaluating():
            ranks[some] = Search(model, trie, histories, torch.from_numpy(goals[some])).run(k).cpu()
    return ranks


def initial_pieces(model: SubwordModel) -> Tensor:
    """Return 1 for the pieces that can follow a whole word, 0 for others. [S] float32"""
    initial = torch.zeros(model.lm.config.vocab_size, device=model.device)
    initial[torch.from_numpy(model.pieces.initial).to(model.device)] = 1.0
    return initial


def log_sums(logits: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Σ exp(logit) over all pieces and over the initial ones, marked by 1. [..., S], [S] -> [...], [...]

    Both sums read the same exponentials, and only sums that float32 does not hold subtract the largest logit first.
    """
    exponentials = logits.exp()
    sums = torch.stack([exponentials.sum(-1), exponentials @ initial])  # [2, ...]
    far = ((sums < SAFE_SUMS[0]) | (sums > SAFE_SUMS[1])).any(0)
    sums = sums.log()
    sums[0, far] = logits[far].logsumexp(-1)
    sums[1, far] = (logits[far] + initial.log()).logsumexp(-1)
    return sums[0], sums[1]


class Search:
    """Best-first search through the trie for R histories at once, until each true word's rank is certain.

    The rank is certain once k words are likelier, or no open path can be as likely as the true word. The probability of
    a path's pieces so far bounds that of every word below, as the mass after a word is at most 1.
    R rows, Q nodes per round, n nodes of the trie.
    """

    def __init__(self, model: SubwordModel, trie: Trie, histories: list[Tensor], goals: Tensor):
        self.trie, device = trie, model.device
        self.initial = initial_pieces(model)
        self.goal = goals.to(device)  # [R]
        self.tree = model.read_trees(histories)
        logits = self.tree.logits.float()  # [R, S]
        _, begins = log_sums(logits, self.initial)  # [R]
        self.open = logits.new_full((len(histories), len(trie)), -torch.inf)  # log bounds of paths to read next
        self.log_p = self.open.clone()  # of words read so far
        self.slot = torch.full(self.open.shape, -1, device=device)  # number of a node in the order of reading
        self.count = 0  # nodes read so far
        self.path = trie.path(self.goal)  # [R, K]
        first = slice(int(trie.start[0]), int(trie.start[0] + trie.children[0]))  # children of the root
        self.open[:, first] = logits[:, trie.piece[first]] - begins[:, None]  # given that a word begins

    def unfold(self, nodes: Tensor, offsets: Tensor, logits: Tensor) -> None:
        """Open the children of nodes; nodes with an offset of −inf are skipped.

        Args:
            nodes: [R, Q]
            offsets: log-probability of a child's path minus the logit of its piece. [R, Q]
            logits: of the pieces after each node. [R, Q, S]
        """
        counts = torch.where(offsets.isfinite(), self.trie.children[nodes], 0).flatten()
        flat = torch.repeat_interleave(torch.arange(nodes.numel(), device=nodes.device), counts)
        nth = torch.arange(len(flat), device=nodes.device) - (counts.cumsum(0) - counts)[flat]
        children = self.trie.start[nodes.flatten()[flat]] + nth
        reached = offsets.flatten()[flat] + logits.flatten(0, 1)[flat, self.trie.piece[children]]
        self.open[flat // nodes.shape[1], children] = reached

    def run(self, k: int) -> Tensor:
        """Return the ranks of the true words, infinite beyond k. [R] float32"""
        ranks = torch.full(self.goal.shape, torch.inf)
        rows = torch.arange(len(ranks), device=self.goal.device)
        while len(rows):
            target = self.log_p.gather(1, self.goal[:, None])  # [R, 1], −inf: not read yet
            better, level = (self.log_p > target).sum(1), (self.log_p == target).sum(1)
            finished = target[:, 0].isfinite() & ((better >= k) | (self.open < target).all(1))
            rank = torch.where(better < k, 1 + better + 0.5 * (level - 1), torch.inf)
            ranks[rows[finished].cpu()] = rank[finished].cpu()
            rows = rows[~finished]
            self.keep(~finished)
            if len(rows):
                self.read()
        return ranks

    def keep(self, rows: Tensor) -> None:
        """Drop the rows whose mask is False. [R]"""
        if not rows.all():
            for name in ("goal", "path", "open", "log_p", "slot"):
                setattr(self, name, getattr(self, name)[rows])
            self.tree.keep(rows.nonzero()[:, 0])

    def read(self) -> None:
        """Read the open nodes on the paths to the true words first, then the best other open nodes."""
        target = self.log_p.gather(1, self.goal[:, None])
        on_path = torch.where(self.open.gather(1, self.path).isfinite(), torch.inf, -torch.inf)
        best, nodes = self.open.scatter(1, self.path, on_path).topk(min(NODES_PER_ROUND, len(self.trie)))  # [R, Q]
        useful = (best > -torch.inf) & (best >= target)
        bounds = torch.where(useful, self.open.gather(1, nodes), -torch.inf)
        numbers = self.count + torch.arange(nodes.shape[1], device=nodes.device)
        slots = self.slot.gather(1, nodes).where(~useful, numbers)
        parents = 1 + self.slot.gather(1, self.trie.parent[nodes])
        logits = self.tree.read(self.trie.piece[nodes], parents, self.trie.level[nodes]).float()  # [R, Q, S]
        total, begins = log_sums(logits, self.initial)  # [R, Q], [R, Q]
        self.count += nodes.shape[1]
        is_word = useful & self.trie.is_word[nodes]
        self.slot.scatter_(1, nodes, slots)
        self.open.scatter_(1, nodes, -torch.inf)
        self.log_p.scatter_(1, nodes, torch.where(is_word, bounds + (begins - total), self.log_p.gather(1, nodes)))
        self.unfold(nodes, bounds - total, logits)
