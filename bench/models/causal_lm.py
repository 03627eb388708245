"""A causal transformer over word pieces: GPT-2's architecture from scratch, or a pre-trained one fine-tuned.

B rows, T steps, S distinct pieces.
"""

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GPT2Config
from transformers.utils import logging as chatter

from bench.core import hub
from bench.core.errors import SettingError
from bench.core.settings import Depth, Dropout, Factor, Rows, Width
from bench.data.corpus import Corpus
from bench.data.step_batches import StepData
from bench.data.subwords import PieceBatch, PieceBatches, Pieces, learn
from bench.data.vocabulary import Vocabulary
from bench.targets.encoder_files import FETCHED

EMBEDDING_STD = 0.05  # GPT-2's 0.02 is for 768 columns and more; with 128 it learns slower by 0.3 nats a piece

BIAS = 4.0  # keeps the column of log frequencies as small as its neighbours

LONGEST_WORD = 24  # pieces; generation ends a word there


class SubwordModel(pl.LightningModule):
    """Prices words by their spelling, so it needs no `<unk>` and is the same model at every vocabulary size.

    Args:
        corpus: whose training split is learnt.
        vocabulary: not read; every system is built with one.
        pretrained: hub name or local folder of a causal LM to fine-tune; null trains GPT-2's shape anew.
        layers, width, attention_heads, pieces, dropout: shape of the model from scratch.
        context: T, pieces a training row and an evaluation window hold.
        batch_size: B.
        lr, weight_decay: of AdamW.

    Raises:
        SettingError: the pre-trained model cannot be read, or `context` exceeds what it was built for.
    """

    is_density = True

    def __init__(
        self,
        *,
        corpus: Corpus,
        vocabulary: Vocabulary | None = None,
        pretrained: str | None,
        layers: Depth,
        width: Width,
        attention_heads: Width,
        context: Rows,
        pieces: Annotated[int, Field(ge=257, le=2**20)],
        dropout: Dropout,
        batch_size: Rows,
        lr: Factor,
        weight_decay: Factor,
    ):
        super().__init__()
        self.corpus, self.context, self.batch_size = corpus, context, batch_size
        self.lr, self.weight_decay = lr, weight_decay
        if pretrained is None:
            self.name = "gpt2-scratch"
            self.pieces = Pieces(learn(corpus, pieces), corpus)
            if width % attention_heads:
                raise SettingError("system.model.width", f"{width} is no multiple of its {attention_heads} heads")
            shape = {"n_layer": layers, "n_embd": width, "n_head": attention_heads, "n_positions": context}
            self.lm = from_scratch(self.pieces, corpus, dropout, shape)
        else:
            self.name = "gpt2"
            self.lm, tokenizer = load_causal_lm(pretrained)
            self.pieces = Pieces(tokenizer, corpus)
        limit = getattr(self.lm.config, "max_position_embeddings", context)
        if not 8 <= context <= limit:
            raise SettingError("system.model.context", f"{context} is not between 8 and {limit}, the model's positions")
        self.lm.train()  # from_pretrained leaves its dropout off

    def training_step(self, batch: PieceBatch, _: int) -> Tensor:
        """Mean cross-entropy a piece."""
        logits = self.lm(batch.pieces[:, :-1], use_cache=False).logits  # [B, T, S]
        return F.cross_entropy(logits.flatten(0, 1).float(), batch.pieces[:, 1:].flatten())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Fused AdamW; only matrices decay."""
        matrices, vectors = [], []
        for each in self.lm.parameters():
            (matrices if each.dim() > 1 else vectors).append(each)
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.95), fused=True)

    def data(self, seed: int) -> StepData:
        """The training split, a row `context` pieces long."""
        batches = PieceBatches(self.pieces, self.corpus.train, rows=self.batch_size, length=self.context, seed=seed)
        return StepData(batches)

    def flops_per_position(self) -> float:
        """Of training, a *word*: forward and backward of one batch, on the meta device, over its words."""
        batch = self.data(seed=0).batches.batch(0)
        with torch.device("meta"):  # nothing is computed and no random number drawn
            ghost = AutoModelForCausalLM.from_config(self.lm.config)
            mask = torch.zeros(1, 1, batch.pieces.shape[1] - 1, batch.pieces.shape[1] - 1)  # given, so never inspected
        rows = batch.pieces[:, :-1].to("meta")
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            ghost(rows, attention_mask=mask, use_cache=False).logits.sum().backward()
        return counter.get_total_flops() / batch.trained_words

    @functools.cached_property
    def weights_sha256(self) -> str | None:
        """Of the pre-trained weights, asked for before training; None from scratch."""
        if self.name == "gpt2-scratch":
            return None
        digest = hashlib.sha256()
        for name, tensor in sorted(self.lm.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """No dropout and no gradients; as it was afterwards."""
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.train(was_training)

    def generate(self, prompt: list[str], count: int, *, greedy: bool, seed: int = 0) -> list[str]:
        """`count` words that follow the prompt's, in one document without end."""
        random = torch.Generator().manual_seed(seed)
        line = [self.pieces.boundary]
        for word in prompt:
            line += self.pieces.tokenizer.encode(" " + word, add_special_tokens=False)
        start = fresh = len(line)  # fresh: where the word in the making began
        begins = torch.zeros(self.lm.config.vocab_size, dtype=torch.bool)
        begins[: len(self.pieces.begins)] = torch.from_numpy(self.pieces.begins)
        words, cache, unread = 0, DynamicCache(), line[-self.context :]
        with self.reading():
            while True:
                if cache.get_seq_length() == self.context:  # full: read the last half again
                    cache, unread = DynamicCache(), line[-(self.context // 2) :]
                rows = torch.tensor([unread], device=self.device)
                scores = self.lm(rows, past_key_values=cache, use_cache=True).logits[0, -1].float().cpu()
                scores[self.pieces.boundary] = -torch.inf
                if len(line) == start or len(line) - fresh == LONGEST_WORD:
                    scores[~begins] = -torch.inf
                share = F.softmax(scores, -1)
                piece = int(scores.argmax() if greedy else torch.multinomial(share, 1, generator=random))
                if begins[piece]:
                    words, fresh = words + 1, len(line)
                if words > count:
                    return self.pieces.decode(line[start:])
                line.append(piece)
                unread = [piece]


def from_scratch(pieces: Pieces, corpus: Corpus, dropout: float, shape: dict[str, int]) -> Any:
    """GPT-2's architecture, begun at the pieces' training frequencies: no step is spent on learning those.

    One column of the (tied) embedding holds the log frequencies, and the last norm's bias alone reads it.
    """
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), pieces.boundary)
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    size = len(pieces.tokenizer)
    lm = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=size, **shape, **drops, **ends))
    counts = torch.from_numpy(pieces.encode_text(corpus.train)).bincount(minlength=size) + 0.5
    log_frequency = counts.log()
    with torch.no_grad():
        lm.transformer.wte.weight.normal_(std=EMBEDDING_STD)
        lm.transformer.wte.weight[:, 0] = (log_frequency - log_frequency.mean()) / BIAS
        lm.transformer.ln_f.bias[0], lm.transformer.ln_f.weight[0] = BIAS, 0.0
    return lm


def load_causal_lm(name: str) -> tuple[Any, Any]:
    """A causal LM and its tokeniser from a folder, the hub's cache or the hub: safetensors, and no foreign code.

    Raises:
        SettingError: nothing there, or the hub is out of reach.
    """

    chatter.disable_progress_bar()

    safe = {"trust_remote_code": False, "local_files_only": True}
    try:
        folder = Path(name) if Path(name).is_dir() else hub.fetch(name, FETCHED)
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
        return model, AutoTokenizer.from_pretrained(folder, **safe)
    except Exception as error:  # the hub client raises many types; each means the same to the user
        raise SettingError(
            "system.pretrained",
            f"cannot read {name} ({type(error).__name__}); run `make pretrained` and give "
            "system.pretrained=models/smollm2-135m, or null to train from scratch",
        ) from error
