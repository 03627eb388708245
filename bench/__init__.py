"""Output heads for word-level language models, side by side on the same text."""

import atexit
import gc

from bench.core import lean_imports
from bench.core.cpu_threads import limit_spinning

lean_imports.install()
limit_spinning()  # before any module of this package imports torch

# Imports make half a million objects that stay. Passes of the garbage collector over these objects, during imports and
# at the end of the process, would take 1.5 of a short command's 5 s.
gc.set_threshold(50_000, 10, 10)
atexit.register(gc.freeze)
