"""torch.compile as a contender: it may be absent, and says so in one line instead of many."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import one_line
from bench.cost.contender import Missing
from bench.cost.synthetic_inputs import SyntheticInputs


def compiled(function: Callable[..., Tensor], scene: SyntheticInputs) -> Callable[..., Tensor]:
    """The same function for these shapes alone, as a script that has one V would have it.

    Raises:
        Missing: there is nothing to compile with; now, or at the first call.
    """
    torch._logging.set_logs(all=logging.ERROR)
    if scene.device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise Missing("torch.compile needs a C++ compiler; install g++ or set CXX") from None
    fast = of_shape(function, len(scene.vocabulary))

    def call(*given: Any) -> Tensor:
        try:
            return fast(*given)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            raise Missing(f"torch.compile: {one_line(error)}") from None

    return call


@functools.cache
def of_shape(function: Callable[..., Tensor], _: int) -> Callable[..., Tensor]:
    """Once a V and process; what was compiled for another V is let go."""
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)
