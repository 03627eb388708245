"""Exact top-k words of one query, from a copy of the table in 8-bit integers: the time is that of reading memory.

D columns, V rows of the table, g rows per group, G groups, c candidates.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 127  # largest magnitude of an 8-bit integer here

FINER = 2 * LARGEST  # ratio of the two steps in which a query is rounded

GROUP_ROWS = 8  # g: a group of rows is represented by the largest upper bound; the rows of a group are G apart

# groups that are rescored in addition to k: enough for most queries, then for almost all other queries
EXTRA_GROUPS = (54, 502)

ROWS_PER_PASS = 2**12  # rows that are converted together when an index is built: bounds the temporary memory


@cache
def multiplies_int8(device: torch.device) -> bool:
    """True if the device's products of 8-bit integers are fast and exact, as on a CPU with VNNI.

    Without these Vector Neural Network Instructions, or if ONEDNN_MAX_CPU_ISA forbids them, sums of two products
    saturate at 16 bits.
    """
    if device.type != "cpu" or not torch.cpu._is_vnni_supported():
        return False
    largest = torch.full((64, 64), LARGEST, dtype=torch.int8)
    return all(bool((torch._int_mm(sign * largest, largest) == sign * 64 * LARGEST**2).all()) for sign in (1, -1))


class SingleQueryIndex:
    """Exact search for the k largest of `table @ query + offsets`, for one query at a time.

    The scores of 8-bit rows choose candidates, which are rescored in float32. Upper bounds of all other rows prove that
    no better row was left out.

    Args:
        table: [V, D] float32. A copy of a quarter of its size is kept.
        offsets: [V] float32, added to the scores, or None.
    """

    def __init__(self, table: Tensor, offsets: Tensor | None):
        self.table, self.offsets = table, offsets
        size, width = table.shape
        self.groups = -(-size // GROUP_ROWS)
        padded = self.groups * GROUP_ROWS
        self.rounded = torch.zeros(padded, width, dtype=torch.int8)
        self.steps = torch.zeros(padded)  # of the rounding of each row
        self.errors = torch.zeros(padded)  # bound of |exact − rough score| per length of the query
        self.offset_bounds = torch.full((padded,), -torch.inf)  # rows that only fill the last groups are never chosen
        summation = (width + 8) * 2**-23  # rounding of sums in float32, as a share of |query| · |row|
        rounded_query = math.sqrt(width) / (2 * LARGEST * FINER)  # largest |query − rounded query| / |query|
        for start in range(0, size, ROWS_PER_PASS):
            rows = slice(start, min(start + ROWS_PER_PASS, size))
            exact = table[rows]
            self.steps[rows] = (exact.abs().amax(1) / LARGEST).clamp_(min=torch.finfo(torch.float32).tiny)
            scaled = exact / self.steps[rows, None]  # squares of unscaled entries could be 0 in float32
            rough = scaled.round()
            self.rounded[rows] = rough.to(torch.int8)
            difference = torch.linalg.vector_norm(scaled - rough, dim=1)
            length = torch.linalg.vector_norm(rough, dim=1)
            self.errors[rows] = self.steps[rows] * (difference + (summation + rounded_query) * length)
        self.offset_bounds[:size] = 0 if offsets is None else offsets + 2**-22 * offsets.abs()

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor] | None:
        """Return the k largest scores and their row ids, best first; None if they are not proven to be exact.

        [D] float32 -> [k], [k]
        """
        if k + EXTRA_GROUPS[0] >= self.groups:
            return None
        bounds = self.upper_bounds(query).view(GROUP_ROWS, self.groups).amax(0)  # [G]
        for groups in (k + extra for extra in EXTRA_GROUPS):
            if groups >= self.groups:
                return None
            highest, chosen = bounds.topk(groups + 1)
            candidates = (chosen[:groups, None] + self.groups * torch.arange(GROUP_ROWS)).flatten()
            if len(bounds) * GROUP_ROWS > len(self.table):
                candidates = candidates[candidates < len(self.table)]  # [c]
            scores = torch.mv(F.embedding(candidates, self.table), query)
            best, positions = (scores if self.offsets is None else scores + self.offsets[candidates]).topk(k)
            if highest[groups] < best[-1]:
                return best, candidates[positions]
        return None

    def upper_bounds(self, query: Tensor) -> Tensor:
        """Return an upper bound of each row's exact score; −∞ for rows that fill the last groups. [D] -> [8 · G]

        The query is rounded in two steps, the second of what the first leaves, so that its error is negligible.
        """
        step = (query.abs().amax() / LARGEST).clamp_(min=torch.finfo(torch.float32).tiny)
        scaled = query / step
        coarse = scaled.round()
        fine = scaled.sub_(coarse).mul_(FINER).round_()
        products = torch._int_mm(self.rounded, torch.stack([coarse, fine], 1).to(torch.int8)).float()  # [8 · G, 2]
        scores = torch.add(products[:, 1], products[:, 0], alpha=FINER)
        bounds = torch.addcmul(self.offset_bounds, scores, self.steps, value=float(step) / FINER)
        return bounds.add_(self.errors, alpha=float(query.norm()))
