"""Top-k search and rank counts, compared with a reference that computes all scores at once.

n queries, D columns, V rows.
"""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from bench.evaluation.ranks import count_ranks
from bench.heads.kernels import topk
from bench.heads.kernels.rank_counts import count_higher_and_equal
from bench.heads.kernels.single_query import multiplies_int8
from bench.heads.kernels.topk import TopKIndex

SHAPES = [(1, 8, 5), (17, 16, 1001), (40, 24, 5003), (256, 48, 4096), (1, 33, 20_000)]


@pytest.fixture(autouse=True, params=[2**18, 2**12])
def cached_cells(request, monkeypatch):
    """Run each test with slabs of the real size, and with many small slabs."""
    monkeypatch.setattr(topk, "CACHED_CELLS", request.param)


@pytest.fixture(autouse=True)
def single_queries_use_rough_scores(monkeypatch):
    """Search tables of any size for a single query as a large table is searched."""
    monkeypatch.setattr(topk, "SINGLE_QUERY_ROWS", 0)


@pytest.fixture(autouse=True, params=[True, False])
def low_precision_hardware(request, monkeypatch):
    """Run each test as on hardware that computes in bfloat16 and 8-bit integers, and as on hardware that does not.

    Products of 8-bit integers are not exact on every processor, so they are used only if this processor's are.
    """
    exact = multiplies_int8(torch.device("cpu"))
    monkeypatch.setattr(topk, "computes_bf16", lambda _: request.param)
    monkeypatch.setattr(topk, "multiplies_int8", lambda _: request.param and exact)


def inputs(n: int, d: int, v: int, offsets: bool = True) -> tuple[Tensor, Tensor, Tensor | None]:
    """Draw queries [n, D], a table [V, D], and offsets [V] or None."""
    random = torch.Generator().manual_seed(n + d + v)
    queries, table = torch.randn(n, d, generator=random), torch.randn(v, d, generator=random)
    return queries, table, 3 * torch.randn(v, generator=random) if offsets else None


def all_scores(queries: Tensor, table: Tensor, offsets: Tensor | None) -> Tensor:
    return queries @ table.T + (0 if offsets is None else offsets)


def record_full_searches(index: TopKIndex, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that receives the number of queries of each search over all rows."""
    searched, search_all_rows = [], index.search_all_rows

    def search(queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        searched.append(len(queries))
        return search_all_rows(queries, k)

    monkeypatch.setattr(index, "search_all_rows", search)
    return searched


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_offsets", [True, False])
def test_top_k_equals_top_k_of_all_scores(shape, with_offsets):
    queries, table, offsets = inputs(*shape, with_offsets)
    k = min(10, len(table))
    best, ids = TopKIndex(table, offsets)(queries, k)
    expected = all_scores(queries, table, offsets).topk(k)
    assert_close(best, expected.values, rtol=1e-5, atol=1e-5)
    assert torch.equal(ids, expected.indices)


@pytest.mark.parametrize("with_offsets", [True, False])
@pytest.mark.parametrize(("dtype", "width"), [(torch.bfloat16, 0.03), (torch.float32, 1e-5)])
@pytest.mark.parametrize("size", [5000, 5003])
def test_upper_bound_of_group_is_not_exceeded_and_is_tight(with_offsets, dtype, width, size):
    queries, table, offsets = inputs(40, 24, size, with_offsets)
    queries[0] *= 1e-3
    table[:100] *= 1e3
    bounds = TopKIndex(table, offsets).upper_bounds(queries, dtype)
    exact = topk.group_maxima(all_scores(queries.double(), table.double(), offsets).T).T
    assert (bounds >= exact).all()
    largest = queries.norm(dim=1)[:, None] * topk.group_maxima(table.norm(dim=1)[:, None])[:, 0]
    assert ((bounds - exact) < width * (largest + 10)).all()


def test_upper_bound_holds_when_only_the_score_is_rounded():
    """One column of numbers that bfloat16 holds exactly: the error is the rounding of the product, near its maximum."""
    table = (1 + 2**-7 * torch.arange(64)[:, None]).repeat(2, 1)
    queries = torch.tensor([[1 + 2**-7], [1 + 3 * 2**-7]])
    bounds = TopKIndex(table).upper_bounds(queries, torch.bfloat16)
    assert (bounds >= topk.group_maxima(queries.double().mul(table.double().T).T).T).all()


def test_all_rows_are_searched_when_rough_scores_cannot_separate_rows(monkeypatch):
    """The rows differ by less than one bfloat16 step, so no bound can exclude a row."""
    monkeypatch.setattr(topk, "computes_bf16", lambda _: True)
    random = torch.Generator().manual_seed(0)
    table = 1 + 1e-4 * torch.rand(5000, 16, generator=random)
    queries = 1 + torch.rand(20, 16, generator=random)
    index = TopKIndex(table)
    searched = record_full_searches(index, monkeypatch)
    best, ids = index(queries, 10)
    assert searched == [20]
    # products of the same shape as in the search, so that scores and ties are equal bit by bit
    expected = torch.cat([all_scores(part, table, None) for part in queries.split(16)]).topk(10)
    assert_close(best, expected.values, rtol=0, atol=0)
    assert torch.equal(ids, expected.indices)


def test_single_query_of_a_small_table_is_searched_by_all_scores(monkeypatch):
    monkeypatch.setattr(topk, "SINGLE_QUERY_ROWS", 2**15)
    queries, table, offsets = inputs(1, 48, 20_000)
    index = TopKIndex(table, offsets)
    searched = record_full_searches(index, monkeypatch)
    best, ids = index(queries, 10)
    assert searched == [1]
    expected = all_scores(queries, table, offsets).topk(10)
    assert torch.equal(ids, expected.indices)
    assert_close(best, expected.values)


def test_no_query_searches_all_rows_when_scores_are_spread(monkeypatch):
    queries, table, offsets = inputs(256, 48, 20_000)
    index = TopKIndex(table, offsets)
    searched = record_full_searches(index, monkeypatch)
    index(queries, 10)
    assert searched == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_offsets", [True, False])
def test_counts_equal_counts_over_all_scores(shape, with_offsets):
    queries, table, offsets = inputs(*shape, with_offsets)
    table[len(table) // 2 :] = table[: len(table) - len(table) // 2].clone()  # so that words tie in pairs
    if offsets is not None:
        offsets[len(table) // 2 :] = offsets[: len(table) - len(table) // 2].clone()
    words = torch.arange(len(queries)) * 7 % len(table)
    words[-1] = unk = len(table) // 3
    known = words != unk
    expected = count_ranks(all_scores(queries, table, offsets), words, unk)
    higher, equal = count_higher_and_equal(queries, table, offsets, words, unk)
    assert torch.equal(higher[known], expected.higher[known])
    assert torch.equal(equal[known], expected.equal[known])


def test_all_words_tie_when_scores_are_constant():
    queries, table = torch.ones(5, 40), torch.full((3000, 40), 0.1)
    higher, equal = count_higher_and_equal(queries, table, None, torch.arange(5), 7)
    assert higher.tolist() == [0] * 5 and equal.tolist() == [2999] * 5
