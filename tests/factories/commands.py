"""Start the project's commands as a user does, on a small text."""

import subprocess
import sys
from pathlib import Path

SMALL = [
    "+experiment=smoke", "corpus=text", "vocabulary.size=300", "targets=random", "targets.dimension=16",
    "backbone.trunk.hidden_size=32", "budget.words=4000", "batch.streams=4",
    "system.head.samples=32", "generation.words=4", "generation.prompts=[the king of the]",
]  # fmt: skip


def bench(folder: Path, *arguments: str, module: str = "bench", gib: int = 0) -> subprocess.CompletedProcess:
    """`python -m bench …` in a process of its own, warnings as errors in our own code; with so little memory."""
    command = [sys.executable, "-W", "error:::bench", "-m", module, *arguments]
    if gib:
        command = ["bash", "-c", f'ulimit -d {gib << 20}; exec "$@"', "bash", *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)


def settings(*systems: str) -> list[str]:
    """The small settings, without those that the systems do not have."""
    kept = [each for each in SMALL if not each.startswith("system.head") or systems == ("sampled_softmax",)]
    return [f"system={','.join(systems)}", *kept]
