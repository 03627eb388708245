"""torch.compile as a contender; without a compiler the ledger says so in one line."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import one_line
from bench.cost.contender import Missing
from bench.cost.synthetic_inputs import SyntheticInputs


def compiled(function: Callable[..., Tensor], inputs: SyntheticInputs) -> Callable[..., Tensor]:
    """Compile the function for the shapes of these inputs alone, as a script with one V would.

    Raises:
        Missing: no compiler is installed; raised here or by the first call of the result.
    """
    torch._logging.set_logs(all=logging.ERROR)
    if inputs.device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise Missing("torch.compile needs a C++ compiler; install g++ or set CXX") from None
    fast = compiled_for_size(function, len(inputs.vocabulary))

    def call(*arguments: Any) -> Tensor:
        try:
            return fast(*arguments)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            raise Missing(f"torch.compile: {one_line(error)}") from None

    return call


@functools.cache
def compiled_for_size(function: Callable[..., Tensor], size: int) -> Callable[..., Tensor]:
    """Compile once per V and process; drop the code that was compiled for another V."""
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)
