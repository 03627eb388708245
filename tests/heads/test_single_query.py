"""Top-k search of one query by 8-bit integers, compared with a search over all scores.

D columns, V rows.
"""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from bench.heads.kernels.single_query import GROUP_ROWS, SingleQueryIndex, multiplies_int8

pytestmark = pytest.mark.skipif(
    not multiplies_int8(torch.device("cpu")), reason="products of 8-bit integers are not exact on this processor"
)

SHAPES = [(8, 5003), (33, 20_000), (256, 40_000), (768, 9000)]


def inputs(d: int, v: int, offsets: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Draw queries [20, D], a table [V, D], and offsets [V] or None."""
    random = torch.Generator().manual_seed(d + v)
    queries, table = torch.randn(20, d, generator=random), torch.randn(v, d, generator=random)
    return queries, table, 3 * torch.randn(v, generator=random) if offsets else None


def all_scores(query: Tensor, table: Tensor, offsets: Tensor | None) -> Tensor:
    return table @ query + (0 if offsets is None else offsets)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_offsets", [True, False])
def test_proven_result_equals_top_k_of_all_scores(shape, with_offsets):
    queries, table, offsets = inputs(*shape, with_offsets)
    index, proven = SingleQueryIndex(table, offsets), 0
    for query in queries:
        result = index.search(query, 10)
        if result is not None:
            expected = all_scores(query, table, offsets).topk(10)
            assert_close(result[0], expected.values, rtol=1e-5, atol=1e-5)
            assert torch.equal(result[1], expected.indices)
            proven += 1
    assert proven >= 18


@pytest.mark.parametrize("with_offsets", [True, False])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_upper_bound_of_a_row_is_not_exceeded_and_is_tight(with_offsets, scale):
    queries, table, offsets = inputs(48, 5003, with_offsets)
    table[:100] *= 1e3
    table[100] = 0
    index = SingleQueryIndex(scale * table, offsets)
    for query in queries:
        bounds = index.upper_bounds(query)
        exact = all_scores(query.double(), (scale * table).double(), offsets)
        assert (bounds[: len(table)] >= exact).all()
        width = 0.04 * query.norm() * (scale * table).norm(dim=1) + 1e-5
        assert ((bounds[: len(table)] - exact) < width).all()
        assert (bounds[len(table) :] == -torch.inf).all() and len(bounds) % GROUP_ROWS == 0


def test_upper_bound_of_a_query_of_zeros_is_the_offset():
    _, table, offsets = inputs(48, 5003, True)
    bounds = SingleQueryIndex(table, offsets).upper_bounds(torch.zeros(48))
    assert_close(bounds[:5003], offsets, rtol=1e-6, atol=1e-6)


def test_no_result_is_proven_when_rows_are_nearly_equal():
    random = torch.Generator().manual_seed(0)
    table = 1 + 1e-4 * torch.rand(20_000, 16, generator=random)
    assert SingleQueryIndex(table, None).search(1 + torch.rand(16, generator=random), 10) is None


def test_no_result_is_proven_when_scores_are_not_finite():
    queries, table, _ = inputs(33, 20_000, False)
    index = SingleQueryIndex(table, None)
    assert index.search(queries[0] * torch.inf, 10) is None
    assert index.search(queries[0] * torch.nan, 10) is None
    assert index.search(queries[0], 10) is not None
