"""Tensors in huge pages: shape, type, and advice to the system."""

import mmap
import sys
from types import SimpleNamespace

import pytest
import torch

from bench.heads.kernels import huge_pages
from bench.heads.kernels.huge_pages import LARGE_BYTES, empty_in_huge_pages

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensor_has_shape_and_type_and_can_be_written(dtype):
    tensor = empty_in_huge_pages((4096, 3000), dtype, CPU).fill_(2)
    assert tensor.shape == (4096, 3000) and tensor.dtype == dtype and tensor.is_contiguous()
    assert float(tensor.sum(dtype=torch.float64)) == 2 * 4096 * 3000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no advice on huge pages")
def test_advice_covers_whole_pages_inside_of_large_tensors_alone(monkeypatch):
    advised = []
    library = SimpleNamespace(madvise=lambda *arguments: advised.append(arguments))
    monkeypatch.setattr(huge_pages, "c_library", lambda: library)
    empty_in_huge_pages((LARGE_BYTES // 4 - 1,), torch.float32, CPU)
    assert advised == []
    tensor = empty_in_huge_pages((LARGE_BYTES // 2,), torch.float32, CPU)
    [(begin, length, advice)] = advised
    assert advice == mmap.MADV_HUGEPAGE
    assert begin.value % mmap.PAGESIZE == 0 == length.value % mmap.PAGESIZE
    assert tensor.data_ptr() <= begin.value < tensor.data_ptr() + mmap.PAGESIZE
    assert 0 <= tensor.data_ptr() + tensor.nbytes - begin.value - length.value < mmap.PAGESIZE
