"""Exact rank of a word in a vocabulary under a model of word pieces: best-first search over the vocabulary's trie.

M searched positions, R of them at a time."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from bench.data.corpus import Text
from bench.data.subwords import Pieces
from bench.data.vocabulary import Vocabulary
from bench.models.causal_lm import SubwordModel

CELLS = 2**23  # of the largest tensor at a time
NODES_A_ROUND = 8


class Trie:
    """The vocabulary's spellings as a tree: node 0 is the root, and the children of a node are neighbours.

    Args:
        longest: words of more pieces are left out: they are in no top 10.

    n nodes, K levels.
    """

    def __init__(self, pieces: Pieces, vocabulary: Vocabulary, *, longest: int, device: torch.device):
        lengths, base = pieces.lengths[:-1], len(pieces.begins)
        words = np.flatnonzero((vocabulary.ids != vocabulary.unk) & (lengths <= longest))
        self.depth = int(lengths[words].max())  # K
        self.node_of = np.full(len(lengths), -1)  # [L], -1: not in the tree
        self.node_of[words] = 0
        parents, spelled = [np.array([-1])], [np.array([0])]
        for level in range(self.depth):
            words = words[lengths[words] > level]
            edge = self.node_of[words] * base + pieces.spelled[pieces.offsets[words] + level]
            edges, nth = np.unique(edge, return_inverse=True)
            self.node_of[words] = sum(map(len, parents)) + nth
            parents.append(edges // base)
            spelled.append(edges % base)
        parent = np.concatenate(parents)  # rises, so that a node's children are a range
        nodes = np.arange(len(parent))
        first, end = np.searchsorted(parent, nodes), np.searchsorted(parent, nodes, side="right")
        level = np.repeat(np.arange(len(parents)), [len(each) for each in parents])
        is_word = np.isin(nodes, self.node_of)
        arrays = (np.maximum(parent, 0), np.concatenate(spelled), level, first, end - first, is_word)
        tensors = (torch.from_numpy(each).to(device) for each in arrays)
        self.parent, self.piece, self.level, self.start, self.children, self.is_word = tensors  # [n] each

    def __len__(self) -> int:
        return len(self.parent)

    def path(self, nodes: Tensor) -> Tensor:
        """The way from below the root to each node, which fills up its row. [R] -> [R, K]"""
        path = [nodes]
        for _ in range(self.depth - 1):
            parent = self.parent[path[-1]]
            path.append(torch.where(parent > 0, parent, path[-1]))
        return torch.stack(path[::-1], 1)


def trie_of(model: SubwordModel, vocabulary: Vocabulary) -> Trie:
    """What a search walks: the vocabulary's words as the model's tokeniser spells them."""
    return Trie(model.pieces, vocabulary, longest=model.context // 2, device=model.device)


def search(model: SubwordModel, text: Text, positions: np.ndarray, trie: Trie, k: int = 10) -> np.ndarray:
    """The true words' exact ranks in the vocabulary; infinite: out of it, or beyond k. [M] float32

    The history is the longest that leaves room for the longest word, at least half a context.
    """
    line, before = model.pieces.encode_text(text), model.pieces.first_pieces(text)[positions] - 1
    bounds = np.flatnonzero(line == model.pieces.boundary)
    start = bounds[np.searchsorted(bounds, before, side="right") - 1]
    start = np.maximum(start, before + 1 - (model.context - trie.depth))
    goals = trie.node_of[text.words[positions]]  # [M]
    ranks = np.full(len(positions), np.inf, np.float32)
    known = np.flatnonzero(goals >= 0)
    known = known[np.argsort((before - start)[known], kind="stable")]  # equal histories side by side
    rows = min(64, max(1, CELLS // max(len(trie), NODES_A_ROUND * model.lm.config.vocab_size)))
    for some in (known[i : i + rows] for i in range(0, len(known), rows)):
        histories = [torch.from_numpy(line[start[i] : before[i] + 1]) for i in some]
        with model.evaluating():
            ranks[some] = Search(model, trie, histories, torch.from_numpy(goals[some])).run(k).cpu()
    return ranks


class Search:
    """Best first through the trie for R histories at once, until no open path can reach the true word.

    A path's pieces so far bound every word below it, for the mass after a word is at most 1. The nodes read so far
    lie behind each history in its cache; a mask shows each node its history and its ancestors alone.
    R rows, T pieces of the longest history, Q nodes a round, G nodes read so far, n nodes of the trie.
    """

    def __init__(self, model: SubwordModel, trie: Trie, histories: list[Tensor], goals: Tensor):
        self.lm, self.trie, device = model.lm, trie, model.device
        self.initial = torch.from_numpy(model.pieces.initial).to(device)
        self.goal = goals.to(device)  # [R]
        self.length = torch.tensor([len(each) for each in histories], device=device)  # [R]
        self.cache = DynamicCache()
        ends, which = (self.length - 1).unique(return_inverse=True)
        pieces = torch.nn.utils.rnn.pad_sequence(histories, batch_first=True).to(device)
        logits = self.lm(pieces, past_key_values=self.cache, use_cache=True, logits_to_keep=ends).logits
        rows = torch.arange(len(histories), device=device)
        after, begins = self.log_shares(logits[rows, which][:, None])  # [R, 1, S], [R, 1]
        self.history = torch.arange(pieces.shape[1], device=device) < self.length[:, None]  # [R, T]
        self.open = after.new_full((len(rows), len(trie)), -torch.inf)  # log bounds of paths to read next
        self.found = self.open.clone()  # log p of words
        self.slot = torch.full(self.open.shape, -1, device=device)  # where a node was read
        self.path = trie.path(self.goal)  # [R, depth]
        self.sees = torch.zeros(len(rows), 0, 0, dtype=torch.bool, device=device)  # [R, G, G]
        root = torch.zeros(len(rows), 1, dtype=torch.long, device=device)
        self.unfold(root, -begins, after)

    def log_shares(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """[R, Q, S] -> log-probabilities of each piece [R, Q, S], of "a word begins" [R, Q]."""
        shares = F.log_softmax(logits.float(), -1)
        return shares, shares[..., self.initial].logsumexp(-1)

    def unfold(self, nodes: Tensor, bounds: Tensor, after: Tensor) -> None:
        """Open the children of nodes, given what follows each; a bound of −inf: no node. [R, Q], [R, Q], [R, Q, S]"""
        counts = torch.where(bounds.isfinite(), self.trie.children[nodes], 0).flatten()
        flat = torch.repeat_interleave(torch.arange(nodes.numel(), device=nodes.device), counts)
        nth = torch.arange(len(flat), device=nodes.device) - (counts.cumsum(0) - counts)[flat]
        children = self.trie.start[nodes.flatten()[flat]] + nth
        reached = bounds.flatten()[flat] + after.flatten(0, 1)[flat, self.trie.piece[children]]
        self.open[flat // nodes.shape[1], children] = reached

    def run(self, k: int) -> Tensor:
        """The goals' ranks, infinite beyond k. [R] float32"""
        ranks = torch.full(self.goal.shape, torch.inf)
        rows = torch.arange(len(ranks), device=self.goal.device)
        while len(rows):
            aim = self.found.gather(1, self.goal[:, None])  # [R, 1], −inf: not read yet
            better, level = (self.found > aim).sum(1), (self.found == aim).sum(1)
            settled = aim[:, 0].isfinite() & ((better >= k) | (self.open < aim).all(1))
            rank = torch.where(better < k, 1 + better + 0.5 * (level - 1), torch.inf)
            ranks[rows[settled].cpu()] = rank[settled].cpu()
            rows = rows[~settled]
            self.keep(~settled)
            if len(rows):
                self.read()
        return ranks

    def keep(self, rows: Tensor) -> None:
        """Forget the settled rows."""
        if not rows.all():
            for name in ("goal", "path", "length", "history", "open", "found", "slot", "sees"):
                setattr(self, name, getattr(self, name)[rows])
            self.cache.batch_select_indices(rows.nonzero()[:, 0])

    def read(self) -> None:
        """One round: what lies on the way to the goals first, then the best open nodes."""
        aim = self.found.gather(1, self.goal[:, None])
        way = torch.where(self.open.gather(1, self.path).isfinite(), torch.inf, -torch.inf)
        best, nodes = self.open.scatter(1, self.path, way).topk(min(NODES_A_ROUND, len(self.trie)))  # [R, Q]
        worth = (best > -torch.inf) & (best >= aim)
        bounds = torch.where(worth, self.open.gather(1, nodes), -torch.inf)
        read = self.sees.shape[1]
        slots = self.slot.gather(1, nodes).where(~worth, read + torch.arange(nodes.shape[1], device=nodes.device))
        mask = self.mask(1 + self.slot.gather(1, self.trie.parent[nodes]))
        logits = self.lm(
            self.trie.piece[nodes],
            attention_mask=mask,
            position_ids=self.length[:, None] + self.trie.level[nodes] - 1,
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        after, begins = self.log_shares(logits)
        is_word = worth & self.trie.is_word[nodes]
        self.slot.scatter_(1, nodes, slots)
        self.open.scatter_(1, nodes, -torch.inf)
        self.found.scatter_(1, nodes, torch.where(is_word, bounds + begins, self.found.gather(1, nodes)))
        self.unfold(nodes, bounds, after)

    def mask(self, parents: Tensor) -> Tensor:
        """Note what new nodes see, given where each one's parent was read (from 1; 0: it has none) [R, Q].

        Returns:
            0 for what is seen and the least float elsewhere. [R, 1, Q, T + G]
        """
        rows, count = parents.shape
        lines = F.pad(self.sees, (0, 0, 1, 0))  # [R, 1 + G, G]
        above = lines.gather(1, parents[..., None].expand(-1, -1, lines.shape[2]))  # [R, Q, G]
        own = torch.eye(count, dtype=torch.bool, device=parents.device).expand(rows, -1, -1)
        new = torch.cat([above, own], -1)
        self.sees = torch.cat([F.pad(self.sees, (0, count)), new], 1)
        seen = torch.cat([self.history[:, None].expand(-1, count, -1), new], -1)[:, None]
        return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, torch.finfo(torch.float32).min)
