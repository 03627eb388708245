"""Trie of a vocabulary's words as a tokeniser spells them. n nodes, K levels, L lexicon types."""

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.subwords import Pieces
from bench.data.vocabulary import Vocabulary
from bench.models.causal_lm import SubwordModel


class Trie:
    """The vocabulary's spellings as a tree: node 0 is the root, and the children of a node have consecutive numbers.

    Args:
        longest: most pieces of a word; a word with more pieces is left out and never has a rank within the top 10.

    Raises:
        SettingError: every word has more pieces.
    """

    def __init__(self, pieces: Pieces, vocabulary: Vocabulary, *, longest: int, device: torch.device):
        lengths, base = pieces.lengths[:-2], len(pieces.begins)
        words = np.flatnonzero((vocabulary.ids != vocabulary.unk) & (lengths <= longest))
        if not len(words):
            problem = f"no word of the vocabulary has at most {longest} pieces, half a context"
            raise SettingError("system.model.context", f"{problem}; raise it")
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
        """Return the nodes from below the root to each node, which is repeated up to K entries. [R] -> [R, K]"""
        path = [nodes]
        for _ in range(self.depth - 1):
            parent = self.parent[path[-1]]
            path.append(torch.where(parent > 0, parent, path[-1]))
        return torch.stack(path[::-1], 1)


def build_trie(model: SubwordModel, vocabulary: Vocabulary) -> Trie:
    """Return the trie of the vocabulary's words that fit into half a context."""
    return Trie(model.pieces, vocabulary, longest=model.context // 2, device=model.device)
