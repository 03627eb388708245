"""Assemble what a GPU machine without a network lacks: `python -m bench.bundle [--file FILE …] [--has PACKAGE …]`.

The machine has Python 3.12 with torch, lightning, transformers, numpy, pandas and matplotlib. The folder `build/gpu`
gets the wheels of the other packages that `python -m bench` imports, and copies of files such as target tables and
texts. The source tree travels as it is; docs/gpu.md has the commands to type there.
"""

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.core.refusals import exiting_on_refusal

FOLDER = Path("build/gpu")

MOST_MIB = 60

PYTHON = "3.12"  # of the GPU machine

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (35, 34, 31, 28, 27, 24, 17)] + ["manylinux2014_x86_64"]

PRESENT = ("torch", "lightning", "pytorch-lightning", "transformers", "numpy", "pandas", "matplotlib")  # on the machine

# imported by every command; not every version of the PRESENT packages installs them; in this environment's versions
CARRIED = (
    "hydra-core",
    "omegaconf",
    "antlr4-python3-runtime",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "rich",
    "markdown-it-py",
    "mdurl",
    "pygments",
    "xxhash",
    "filelock",
    "jinja2",
    "markupsafe",
    "scipy",
)

# not needed on other machines: kernels that the cost sweep compares on a GPU, the launcher of several cells at once,
# and what the launcher imports
ADDED = {"liger-kernel": "0.8.5", "cut-cross-entropy": "25.1.1", "hydra-joblib-launcher": "1.2.0", "joblib": "1.6.0"}

WITHOUT_WHEEL = ("antlr4-python3-runtime",)  # published as source alone; pure Python, so its wheel is built here


def bundle(files: list[Path], has: list[str], folder: Path = FOLDER, most_mib: float = MOST_MIB) -> list[Path]:
    """Replace the folder, whole or not at all, and return its files.

    Args:
        files: copied beside the wheels; folders are packed into one .tar.xz each.
        has: packages of CARRIED or ADDED that the machine has too.

    Raises:
        SettingError: an unknown package or file, a package that pip cannot fetch, or more than `most_mib`.
    """
    versions = {name: importlib.metadata.version(name) for name in CARRIED} | ADDED
    if unknown := [name for name in has if name not in versions]:
        raise SettingError("--has", f"{unknown[0]} is not carried; choose one of {', '.join(versions)}")
    if absent := [file for file in files if not file.exists()]:
        raise SettingError("--file", f"{absent[0]} does not exist; give a file or folder")
    wanted = {name: version for name, version in versions.items() if name not in has}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        made = Path(temporary) / folder.name
        (made / "wheels").mkdir(parents=True)
        fetch_wheels(wanted, made / "wheels")
        for file in files:
            pack(file, made)
        contents = sorted(path for path in made.rglob("*") if path.is_file())
        mib = sum(map(size_mib, contents))
        if mib > most_mib:
            largest = ", ".join(f"{path.name} {size_mib(path):.1f}" for path in sorted(contents, key=size_mib)[:-4:-1])
            problem = f"{mib:.1f} MiB exceed {most_mib:.0f} (largest: {largest})"
            raise SettingError("--file", f"{problem}; pack fewer files, or exclude with --has what the machine has")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return [folder / path.relative_to(made) for path in contents]


def size_mib(path: Path) -> float:
    """Return a file's size in MiB."""
    return path.stat().st_size / 2**20


def fetch_wheels(versions: dict[str, str], folder: Path) -> None:
    """Fetch the wheels for the GPU machine's Python, and build those that are published as source alone.

    Raises:
        SettingError: pip fails.
    """
    pinned = {name: f"{name}=={version}" for name, version in versions.items()}
    binary = [pinned[name] for name in pinned if name not in WITHOUT_WHEEL]
    source = [pinned[name] for name in pinned if name in WITHOUT_WHEEL]
    target = ["--python-version", PYTHON, "--implementation", "cp"]
    target += [argument for platform in PLATFORMS for argument in ("--platform", platform)]
    if binary:
        run_pip("download", "--only-binary=:all:", *target, "--dest", str(folder), *binary)
    if source:
        run_pip("wheel", "--wheel-dir", str(folder), *source)


def run_pip(command: str, *arguments: str) -> None:
    """Run this environment's pip without dependencies.

    Raises:
        SettingError: pip fails; the line has its last message.
    """
    line = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingError("bench.bundle", f"pip {command} fails ({last}); check the network or the index")


def pack(file: Path, folder: Path) -> None:
    """Copy a file, or pack a folder as `name.tar.xz`."""
    if file.is_dir():
        place = file.resolve()
        shutil.make_archive(str(folder / place.name), "xztar", place.parent, place.name)
    else:
        shutil.copy2(file, folder)


def main() -> None:
    """Print what was assembled, its size and the commands to type on the GPU machine; or one line on bad input."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.bundle", description=__doc__.split(": ", 1)[0] + ".")
    parser.add_argument("--file", action="append", default=[], type=Path, help="file or folder to carry, e.g. a text")
    parser.add_argument("--has", action="append", default=[], help="package that the GPU machine has, such as scipy")
    arguments = parser.parse_args()
    with exiting_on_refusal():
        contents = bundle(arguments.file, arguments.has)
    for path in contents:
        print(f"{size_mib(path):6.2f} MiB  {path}")
    print(f"{sum(map(size_mib, contents)):6.2f} MiB in {FOLDER}, of at most {MOST_MIB}")
    print("Copy the source tree and this folder to the GPU machine, then type there: make gpu-reference")


if __name__ == "__main__":
    main()
