"""Build causal LMs over word pieces: GPT-2's architecture from scratch, or a pre-trained model from its files."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config
from transformers.utils import logging as transformers_logging

from bench.core import hub
from bench.core.errors import SettingError
from bench.data.corpus import Corpus
from bench.data.subwords import Pieces, learn
from bench.targets.encoder_files import FETCHED, check_complete, conversion
from bench.targets.probes import effect_of_later_positions

EMBEDDING_STD = 0.05  # GPT-2's 0.02 is for 768 columns or more; with 128 columns it costs 0.3 nats per piece

BIAS = 4.0  # of the last norm in the column of log frequencies; keeps the column as small as its neighbours


@functools.lru_cache(maxsize=1)  # shared by the cells of a sweep over V in one process
def learned_pieces(corpus: Corpus, size: int) -> Pieces:
    """Return the pieces of a BPE of at most `size` pieces that is learnt from the training split."""
    return Pieces(learn(corpus, size), corpus)


def from_scratch(pieces: Pieces, corpus: Corpus, dropout: float, shape: dict[str, int]) -> Any:
    """Build GPT-2's architecture with outputs that start at the training frequencies of the pieces.

    One column of the (tied) embedding holds the log frequencies, and only the bias of the last norm reads this column.
    So no training step is spent on learning the frequencies.
    """
    special_ids = {"bos_token_id": pieces.begin, "eos_token_id": pieces.end}
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    size = len(pieces.tokenizer)
    gelu = "gelu_pytorch_tanh"  # GPT-2's activation as one operation instead of eight
    config = GPT2Config(vocab_size=size, activation_function=gelu, **shape, **dropouts, **special_ids)
    lm = AutoModelForCausalLM.from_config(config)
    counts = torch.from_numpy(pieces.counts(corpus.train, size)) + 0.5
    log_frequency = counts.log()
    with torch.no_grad():
        lm.transformer.wte.weight.normal_(std=EMBEDDING_STD)
        lm.transformer.wte.weight[:, 0] = (log_frequency - log_frequency.mean()) / BIAS
        lm.transformer.ln_f.bias[0], lm.transformer.ln_f.weight[0] = BIAS, 0.0
    return lm


def weights_digest(lm: Any) -> str:
    """Return the sha256 of a model's weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(lm.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_causal_lm(name: str, setting: str = "system.pretrained") -> tuple[Any, Any]:
    """Load a causal LM and its tokeniser from a folder, the hub's cache or the hub: safetensors only, no remote code.

    Args:
        setting: setting or option that names the model, for messages.

    Raises:
        SettingError: there is no such model, the hub cannot be reached, weights are missing or pickled, the tokeniser
            has more ids than the embedding table has rows, or the model reads images too or sees later pieces.
    """
    transformers_logging.disable_progress_bar()
    safe = {"trust_remote_code": False, "local_files_only": True}
    weights = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    folder = None
    try:
        folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else hub.fetch(name, FETCHED)
        with torch.random.fork_rng(devices=[]):  # transformers draws weights that a checkpoint lacks
            model, loading = AutoModelForCausalLM.from_pretrained(folder, **weights, **safe)
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
    except Exception as error:  # the hub client raises many types, all with the same remedy
        other = f"run `make pretrained` and give {setting}=models/smollm2-135m"
        other += ", or null to train from scratch" if setting == "system.pretrained" else ""
        remedy = (folder and conversion(folder, "AutoModelForCausalLM")) or other
        raise SettingError(setting, f"cannot read {name} ({type(error).__name__}); {remedy}") from error
    check_complete(setting, folder, loading)
    kind = model.config.model_type
    if not hasattr(model.config, "vocab_size"):
        problem = f"{name} ({kind}) is a model of several parts, such as text and images"
        raise SettingError(setting, f"{problem}; give a language model of text only")
    ids, rows = 1 + max(tokenizer.get_vocab().values()), model.get_input_embeddings().weight.shape[0]
    if ids > rows:
        problem = f"{name} has a tokeniser of {ids} ids and an embedding table of {rows} rows"
        raise SettingError(setting, f"{problem}; give the tokeniser that the model was trained with")
    if sees_later_pieces(model):
        problem = f"{name} ({kind}) sees the pieces that it should predict"
        raise SettingError(setting, f"{problem}; give a causal language model such as GPT-2 or Llama")
    return model, tokenizer


def sees_later_pieces(model: Any) -> bool:
    """True if the output at the first position depends on later positions, as it does in a masked language model.

    The library loads some masked language models (RoBERTa) as causal ones with nothing but a warning.
    """
    difference, size = effect_of_later_positions(
        lambda rows: model(rows, use_cache=False).logits, model.config.vocab_size
    )
    return difference > 1e-4 * size
