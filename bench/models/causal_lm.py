"""Causal transformer over word pieces: GPT-2's architecture (Radford et al. 2019) from scratch, or a fine-tuned model.

B rows, T steps, S distinct pieces, H hidden size.
"""

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from bench.core.errors import SettingError
from bench.core.progress import print_line
from bench.core.settings import Depth, Dropout, Factor, Rows, Width
from bench.data.corpus import Corpus
from bench.data.piece_batches import PieceBatch, PieceBatches
from bench.data.step_batches import StepData
from bench.data.subwords import Pieces
from bench.data.vocabulary import Vocabulary
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy
from bench.models.causal_lm_builders import from_scratch, learned_pieces, load_causal_lm, weights_digest
from bench.models.language_model import LanguageModel
from bench.models.piece_readers import CachedLines, CachedTree, PlainLines, PlainTree, cache_problem
from bench.targets.probes import has_linear_output


class SubwordModel(pl.LightningModule, LanguageModel):
    """Causal language model over word pieces, which needs no `<unk>` and is the same at every vocabulary size.

    Args:
        corpus: gives the training split.
        vocabulary: not read; every system is built with a vocabulary.
        pretrained: hub name or local folder of a causal LM to fine-tune; null trains GPT-2's shape from scratch.
        layers, width, attention_heads, pieces, dropout: shape of the model from scratch.
        context: T, pieces per training row and per evaluation window.
        batch_size: B.
        lr, weight_decay: of AdamW.

    Raises:
        SettingError: the pre-trained model cannot be read, `width` is no multiple of `attention_heads`, or `context` is
            less than 8 or more than the model's number of positions.
    """

    evaluator = "bench.evaluation.subword_evaluator.SubwordEvaluator"

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
            self.pieces = learned_pieces(corpus, pieces)
            if width % attention_heads:
                problem = f"{width} is not a multiple of {attention_heads} attention heads"
                raise SettingError("system.model.width", f"{problem}; change width or attention_heads")
            shape = {"n_layer": layers, "n_embd": width, "n_head": attention_heads, "n_positions": context}
            self.lm = from_scratch(self.pieces, corpus, dropout, shape)
        else:
            self.name = "gpt2"
            self.lm, tokenizer = load_causal_lm(pretrained)
            self.pieces = Pieces(tokenizer, corpus)
        positions = (getattr(self.lm.config, name, context) for name in ("max_position_embeddings", "max_seq_len"))
        limit = min(positions)  # `max_seq_len`: MPT's name
        if not 8 <= context <= limit:
            problem = f"{context} is not between 8 and {limit}, the model's positions"
            raise SettingError("system.model.context", f"{problem}; give a number between these")
        self.lm.train()  # from_pretrained leaves its dropout off
        with self.evaluating():
            self.linear_output = has_linear_output(self.lm)

    def training_step(self, batch: PieceBatch, _: int) -> Tensor:
        """Return the mean cross-entropy per piece; all logits [B, T, S] are held only if the output is not linear."""
        inputs, following = batch.pieces[:, :-1], batch.pieces[:, 1:].flatten()
        if self.linear_output:
            states = self.lm.base_model(inputs, use_cache=False).last_hidden_state  # [B, T, H]
            output = self.lm.get_output_embeddings()
            return linear_cross_entropy(states.flatten(0, 1), output.weight, output.bias, following)
        return F.cross_entropy(self.lm(inputs, use_cache=False).logits.flatten(0, 1).float(), following)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return fused AdamW; weight decay applies to matrices only."""
        matrices, vectors = [], []
        for each in self.lm.parameters():
            (matrices if each.dim() > 1 else vectors).append(each)
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.95), fused=True)

    def datamodule(self, seed: int) -> StepData:
        """Return batches of the training split in rows of `context` pieces."""
        batches = PieceBatches(self.pieces, self.corpus.train, rows=self.batch_size, length=self.context, seed=seed)
        return StepData(batches)

    def flops_per_position(self, _: PieceBatch) -> float:
        """Return training FLOPs per *word*: those of one batch divided by its words; some architectures raise here.

        The batch is the first of seed 0 in which a word begins, whatever is trained on, so that runs of all seeds
        report the same number.
        """
        batches = self.datamodule(seed=0).batches
        batch = next(each for each in map(batches.batch, itertools.count()) if each.trained_words)
        with torch.device("meta"):  # nothing is computed and no random number drawn
            ghost = AutoModelForCausalLM.from_config(self.lm.config)
            # an explicit mask, as transformers would inspect the values of its own
            mask = torch.zeros(1, 1, batch.pieces.shape[1] - 1, batch.pieces.shape[1] - 1)
        rows = batch.pieces[:, :-1].to("meta")
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            ghost(rows, attention_mask=mask, use_cache=False).logits.sum().backward()
        return counter.get_total_flops() / batch.trained_words

    @functools.cached_property
    def weights_sha256(self) -> str | None:
        """Hash of the pre-trained weights, if first read before training; None from scratch."""
        return None if self.name == "gpt2-scratch" else weights_digest(self.lm)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switch dropout and gradients off inside the block."""
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.train(was_training)

    @functools.cached_property
    def exact_cache(self) -> bool:
        """True if reads with the model's cache give the logits of plain passes; checked at the first use."""
        with self.evaluating():
            problem = cache_problem(self.lm, self.context, len(self.pieces.begins))
        if problem is not None:
            kind = type(self.lm).__name__
            print_line(f"{kind}: {problem}; ranks, draws and generations use plain passes, which is slower")
        return problem is None

    def read_lines(self, histories: list[Tensor]) -> CachedLines | PlainLines:
        """Read histories into lines, each of which then grows by one piece per read."""
        return (CachedLines if self.exact_cache else PlainLines)(self.lm, histories)

    def read_trees(self, histories: list[Tensor]) -> CachedTree | PlainTree:
        """Read histories; a tree of pieces then grows after each of them."""
        return (CachedTree if self.exact_cache else PlainTree)(self.lm, histories)

    def window(self, pieces: list[int]) -> Tensor:
        """Return the input of a window that begins anywhere in a text. [T]"""
        return torch.from_numpy(self.pieces.open_windows(np.array([pieces]))[0])
