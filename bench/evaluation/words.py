"""A model of word pieces, scored word by word: what each costs, and its exact rank in a vocabulary.

p(word) = Π p(pieces) · P(word-initial | after the word) / P(word-initial | before the word) (Pimentel & Meister,
2024): without the two masses it would price "a word that begins so" and not this word.
N words, D documents, P pieces of the text, S distinct pieces, C context, M searched positions, R of them at a time.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from bench.evaluation import brier
from bench.evaluation.score import Judged, Scored, glance, score, spread
from bench.evaluation.writing import brier_n
from bench.pieces import Trie
from bench.subword import SubwordModel
from bench.text import Text
from bench.vocabulary import Vocabulary

CELLS = 2**23  # of the largest tensor at a time
NODES_A_ROUND = 8


def score_words(model: SubwordModel, text: Text, vocabulary: Vocabulary, *, search_words: int) -> dict[str, np.ndarray]:
    """The values a position that a record keeps. [N] each

    Args:
        search_words: how many positions, evenly spread, are ranked: infinite beyond 10. The others' rank is NaN.
    """
    nats = word_nats(model, text).astype(np.float32)
    ranks = np.full(len(text), np.nan, np.float32)
    positions = spread(len(text), search_words)
    ranks[positions] = search(model, text, positions, trie_of(model, vocabulary))
    document = np.repeat(np.arange(len(text.starts) - 1, dtype=np.int32), np.diff(text.starts))
    word = vocabulary.encode(text.words)
    unmeasured = np.full_like(ranks, np.nan)  # nothing is fitted to the vocabulary here
    found = {"rank": ranks, "calibrated_rank": unmeasured, "nats": nats, "raw_nats": nats}
    starts = np.intersect1d(brier.starts(document), positions)
    found["brier_n"] = brier.placed(brier_n(model, text, starts), starts, len(text))
    return {"document": document, "word": word, **found}


@score.register
def _(model: SubwordModel, judged: Judged) -> Scored:
    """An open vocabulary needs no `<unk>` and no speller; its distribution stands as it is, uncalibrated."""
    rows = score_words(model, judged.test, judged.vocabulary, search_words=judged.search_words)
    return Scored(**rows)


@glance.register
def _(model: SubwordModel, judged: Judged) -> dict[str, float]:
    """Nats a word, of the same words of the validation sample as any other model's."""
    measured = spread(len(judged.validation), judged.calibration_words)[1::2]
    return {"validation_nats": float(word_nats(model, judged.validation)[measured].mean())}


def word_nats(model: SubwordModel, text: Text) -> np.ndarray:
    """−log p(word | words before it in its document), from at least half a context of history. [N] float64"""
    first = model.pieces.first(text)  # [N]
    last = first + model.pieces.lengths[text.words] - 1
    piece, begin = piece_nats(model, text)
    before = np.concatenate([[0.0], np.cumsum(piece)])  # piece[t] prices piece t + 1 of the line
    return before[last] - before[first - 1] - begin[first - 1] + begin[last]


def piece_nats(model: SubwordModel, text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Nats, after each piece of the laid-out text, of the next piece and of "a word begins". [P] float64 each

    Windows of C pieces advance by half of that; only their later half counts, of a document's first window all.
    Nothing follows the last boundary: 0.
    """
    line = model.pieces.lay(text)
    bounds = np.flatnonzero(line == model.pieces.boundary)  # [D + 1]
    half = model.context // 2
    later = [np.arange(start, end - 2 * half, half) + half for start, end in itertools.pairwise(bounds)]
    nats, begin = np.zeros(len(line)), np.zeros(len(line))
    initial = torch.from_numpy(model.pieces.initial).to(model.device)
    for starts, kept in ((bounds[:-1], 2 * half), (np.concatenate(later), half)):
        rows = max(1, CELLS // (kept * model.lm.config.vocab_size))
        for some in (starts[i : i + rows] for i in range(0, len(starts), rows)):
            places = some[:, None] + np.arange(2 * half)  # [R, C]
            ends = bounds[np.searchsorted(bounds, some, side="right")]
            known = line[np.minimum(places, len(line) - 1)]  # past a document's end: what causality never shows
            with model.reading():
                pieces = torch.from_numpy(known).to(model.device)
                logits = model.lm(pieces, use_cache=False, logits_to_keep=kept).logits.float()  # [R, kept, S]
                total = logits.logsumexp(-1)
                begins = total - logits[..., initial].logsumexp(-1)
            places, real = places[:, -kept:], (places < ends[:, None])[:, -kept:]
            following = torch.from_numpy(line[np.minimum(places + 1, len(line) - 1)]).to(model.device)
            follows = total - logits.gather(-1, following[..., None])[..., 0]
            nats[places[real]] = follows.double().cpu().numpy()[real]
            begin[places[real]] = begins.double().cpu().numpy()[real]
    return nats, begin


def trie_of(model: SubwordModel, vocabulary: Vocabulary) -> Trie:
    """What a search walks: the vocabulary's words as the model's tokeniser spells them."""
    return Trie(model.pieces, vocabulary, longest=model.context // 2, device=model.device)


def search(model: SubwordModel, text: Text, positions: np.ndarray, trie: Trie, k: int = 10) -> np.ndarray:
    """The true words' exact ranks in the vocabulary; infinite: out of it, or beyond k. [M] float32

    The history is the longest that leaves room for the longest word, at least half a context.
    """
    line, before = model.pieces.lay(text), model.pieces.first(text)[positions] - 1
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
        with model.reading():
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
