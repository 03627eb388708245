"""The best words and the true word's rank against all scores at once.

n queries, D columns, V rows.
"""

import pytest
import torch
from torch.testing import assert_close

from bench.evaluation.ranks import count_ranks
from bench.heads.kernels import topk
from bench.heads.kernels.topk import Index, standing

SHAPES = [(1, 8, 5), (17, 16, 1001), (40, 24, 5003), (256, 48, 4096), (1, 33, 20_000)]


@pytest.fixture(autouse=True, params=[2**18, 2**12])
def slabs(request, monkeypatch):
    monkeypatch.setattr(topk, "CACHED_CELLS", request.param)


@pytest.fixture(autouse=True, params=[True, False])
def hardware(request, monkeypatch):
    """That computes in bfloat16, and that does not."""
    monkeypatch.setattr(topk, "computes_bf16", lambda _: request.param)


def problem(n: int, d: int, v: int, offsets: bool = True):
    random = torch.Generator().manual_seed(n + d + v)
    queries, table = torch.randn(n, d, generator=random), torch.randn(v, d, generator=random)
    return queries, table, 3 * torch.randn(v, generator=random) if offsets else None


def scores(queries, table, offsets):
    return queries @ table.T + (0 if offsets is None else offsets)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offsets", [True, False])
def test_the_best_are_those_of_all_scores(shape, offsets):
    queries, table, add = problem(*shape, offsets)
    k = min(10, len(table))
    best, ids = Index(table, add)(queries, k)
    expected = scores(queries, table, add).topk(k)
    assert_close(best, expected.values, rtol=1e-5, atol=1e-5)
    assert torch.equal(ids, expected.indices)


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize(("kind", "width"), [(torch.bfloat16, 0.03), (torch.float32, 1e-5)])
@pytest.mark.parametrize("size", [5000, 5003])
def test_no_row_scores_above_its_groups_bound(offsets, kind, width, size):
    queries, table, add = problem(40, 24, size, offsets)
    queries[0] *= 1e-3
    table[:100] *= 1e3
    bounds = Index(table, add).bounds(queries, kind)
    exact = topk.tops(scores(queries.double(), table.double(), add).T).T
    assert (bounds >= exact).all()
    largest = queries.norm(dim=1)[:, None] * topk.tops(table.norm(dim=1)[:, None])[:, 0]
    assert ((bounds - exact) < width * (largest + 10)).all()


def test_the_bound_holds_where_the_result_itself_is_rounded():
    """One column, whose products bfloat16 holds but for the last rounding, as far as it can go."""
    table = (1 + 2**-7 * torch.arange(64)[:, None]).repeat(2, 1)
    queries = torch.tensor([[1 + 2**-7], [1 + 3 * 2**-7]])
    bounds = Index(table).bounds(queries, torch.bfloat16)
    assert (bounds >= topk.tops(queries.double().mul(table.double().T).T).T).all()


def test_where_rough_scores_cannot_tell_every_row_is_scored(monkeypatch):
    """All rows within a bfloat16 step of each other, the best of them by less than any rough score can show."""
    monkeypatch.setattr(topk, "computes_bf16", lambda _: True)
    random = torch.Generator().manual_seed(0)
    table = 1 + 1e-4 * torch.rand(5000, 16, generator=random)
    queries = 1 + torch.rand(20, 16, generator=random)
    index, asked = Index(table), []
    plain = index.plain
    index.plain = lambda some, k: asked.append(len(some)) or plain(some, k)
    best, ids = index(queries, 10)
    assert asked == [20]
    expected = scores(queries, table, None).topk(10)
    assert_close(best, expected.values, rtol=0, atol=0)
    assert torch.equal(ids, expected.indices)


def test_as_a_rule_no_query_is_scored_against_every_row():
    queries, table, add = problem(256, 48, 20_000)
    index, asked = Index(table, add), [0]
    plain = index.plain
    index.plain = lambda some, k: asked.append(len(some)) or plain(some, k)
    index(queries, 10)
    assert sum(asked) == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offsets", [True, False])
def test_standings_are_those_of_all_scores(shape, offsets):
    queries, table, add = problem(*shape, offsets)
    table[len(table) // 2 :] = table[: len(table) - len(table) // 2].clone()  # so that words tie in pairs
    if add is not None:
        add[len(table) // 2 :] = add[: len(table) - len(table) // 2].clone()
    words = torch.arange(len(queries)) * 7 % len(table)
    words[-1] = unk = len(table) // 3
    known = words != unk
    expected = count_ranks(scores(queries, table, add), words, unk)
    higher, level = standing(queries, table, add, words, unk)
    assert torch.equal(higher[known], expected.higher[known])
    assert torch.equal(level[known], expected.level[known])


def test_a_constant_scorer_ties_all():
    queries, table = torch.ones(5, 40), torch.full((3000, 40), 0.1)
    higher, level = standing(queries, table, None, torch.arange(5), 7)
    assert higher.tolist() == [0] * 5 and level.tolist() == [2999] * 5
