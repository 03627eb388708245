"""Output heads for word-level language models, side by side on the same text."""

from bench.core import lean_imports
from bench.core.cpu_threads import limit_spinning

lean_imports.install()
limit_spinning()  # before any module of this package imports torch
