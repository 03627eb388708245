"""A random BERT of three layers, 16 wide, and what it gives in a plain pass: the tests' slow reference."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from bench.data.corpus import Corpus, build_corpus
from bench.targets.encoder import Encoder

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "the", "dogs", "sat", "on", "cats", ":", "it", "sang"]
SPECIAL = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [
    *SPECIAL.values(),
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
]


def save(folder: Path, model: torch.nn.Module) -> Path:
    """A checkpoint folder around the model; its tokenizer knows five words and spells others by letters."""
    wordpiece = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    PreTrainedTokenizerFast(tokenizer_object=wordpiece, model_max_length=40, **SPECIAL).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def tiny_bert(folder: Path) -> Path:
    """Weights are large enough that context shows."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(PIECES), "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    more = {
        "intermediate_size": 32,
        "max_position_embeddings": 40,
        "initializer_range": 0.5,
        "pad_token_id": 0,
    }
    return save(folder, BertModel(BertConfig(**sizes, **more)))


def tiny_encoder(source: Path, cache_dir: Path, **settings) -> Encoder:
    """In full precision on the CPU unless told otherwise."""
    return Encoder(str(source), **{"precision": "fp32", "device": "cpu", "cache_dir": cache_dir} | settings)


def tiny_corpus() -> Corpus:
    """Three training documents, one of them a single word."""
    splits = {"train": [WORDS, WORDS[5:] + WORDS, ["cat"]], "validation": [WORDS[::-1]], "test": [WORDS[3:7]]}
    return build_corpus("tiny", splits)


def plain_pass(folder: Path, words: list[str], *, causal: bool, layer: int = -1) -> list[torch.Tensor]:
    """[CLS] and the words in one pass of the model alone: hidden states of each word, [its pieces, D]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, **{"is_decoder": True} if causal else {}).eval()
    spelt = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    ids = torch.tensor([[tokenizer.cls_token_id, *(piece for pieces in spelt for piece in pieces)]])
    with torch.no_grad():
        states = model(ids, output_hidden_states=True, use_cache=False).hidden_states
    return list(states[layer][0, 1:].split([len(pieces) for pieces in spelt]))
