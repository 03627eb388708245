"""Configuration -> corpus, vocabulary, model and batches; nothing is trained here."""

import copy
import functools
import json
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus
from bench.data.corpus_cache import open_corpus
from bench.data.splits import report_splits
from bench.data.vocabulary import Vocabulary
from bench.evaluation.generation import prompts_of
from bench.evaluation.score import EvaluationData
from bench.heads import Head
from bench.models.backbones import Backbone
from bench.models.backbones._contract import check_contract
from bench.models.language_model import LanguageModel
from bench.models.spelling import Speller
from bench.models.word_batches import Inputs, WordData
from bench.models.word_model import WordModel
from bench.targets.tables import Targets, make_encoder
from bench.training.warnings import warn

LEAST_WORDS = 10  # of validation and of test; fewer give no figure


@dataclass(frozen=True, eq=False)
class Built:
    """The objects of one configuration."""

    model: LanguageModel
    datamodule: pl.LightningDataModule | None  # None for a model that is counted, not trained
    evaluation_data: EvaluationData
    targets: Targets | None  # of a regressor


def build_cell(cfg: DictConfig, table: Tensor | None = None) -> Built:
    """Build corpus, vocabulary, targets, model and batches.

    Args:
        table: rows that a regressor's kept weights hold [V, D]; the targets are then not built again, so neither the
            encoder nor its vectors are needed, and the batches cannot be trained on. None builds the targets.

    Raises:
        SettingError: settings that cannot work together.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    whole = open_corpus(cfg.corpus.source, cfg.cache_dir)
    evaluation_data = evaluation_data_of(cfg, whole)
    vocabulary = evaluation_data.vocabulary
    prompts_of(vocabulary, cfg.generation.prompts, lowercase=cfg.corpus.lowercase)  # fails before training, not after
    built = word_system(cfg, evaluation_data, table) if "head" in cfg.system else model_system(cfg, evaluation_data)
    report_splits(whole)  # after all that can refuse the settings: a refusal is one line
    warn(cfg, vocabulary)
    return built


def evaluation_data_of(cfg: DictConfig, whole: Corpus) -> EvaluationData:
    """Return the texts that a cell reads, with its vocabulary and a speller.

    Raises:
        SettingError: the corpus has no vocabulary of this size, or a split is too short.
    """
    limits = cfg.evaluation
    corpus = limited_corpus(whole, cfg.corpus.get("train_words"), limits.validation_words, limits.test_words)
    return make_evaluation_data(corpus, cfg.vocabulary.size, limits.calibration_words, limits.search_words)


@functools.lru_cache(maxsize=1)  # shared by the cells of a sweep in one process, as is the next
def limited_corpus(whole: Corpus, train: int | None, validation: int | None, test: int | None) -> Corpus:
    """Return the corpus with about these numbers of words in its splits; None is all."""
    return whole.trained_on(train).limited(validation=validation, test=test)


@functools.lru_cache(maxsize=1)
def make_evaluation_data(corpus: Corpus, size: int | None, calibration_words: int, search_words: int) -> EvaluationData:
    """Return the texts to evaluate on, with a vocabulary of this size and a speller.

    Raises:
        SettingError: the corpus has no vocabulary of this size, or a split is too short.
    """
    vocabulary = Vocabulary(corpus, size)
    check_splits(vocabulary)
    limits = {"calibration_words": calibration_words, "search_words": search_words}
    return EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, **limits)


@functools.lru_cache(maxsize=1)
def make_targets(settings: str, vocabulary: Vocabulary, cache_dir: str) -> Targets:
    """Return the targets of the configuration's group `targets`, given as JSON so that equal settings share them."""
    return instantiate(json.loads(settings), vocabulary=vocabulary, cache_dir=cache_dir)


def check_table(targets: object, function: str | None, size: int) -> None:
    """Check what a user's own function of targets returns.

    Raises:
        SettingError: it is no `Targets`, or its table has another shape or type, or a number that is not finite.
    """
    table = getattr(targets, "table", None)
    fits = isinstance(table, Tensor) and table.dtype == torch.float32 and table.dim() == 2 and len(table) == size
    if not fits or not table.isfinite().all():
        problem = f"{function} must return bench.targets.tables.Targets with a finite float32 table of {size:,} rows"
        raise SettingError("targets._target_", f"{problem}; correct the function")


def model_system(cfg: DictConfig, evaluation_data: EvaluationData) -> Built:
    """Build a language model that brings its own output layer.

    Raises:
        SettingError: settings that the model refuses, or a class that is no language model.
    """
    vocabulary = evaluation_data.vocabulary
    model = instantiate(cfg.system.model, _partial_=True)(corpus=vocabulary.corpus, vocabulary=vocabulary)
    if not isinstance(model, LanguageModel):
        problem = f"{cfg.system.model._target_} is not a bench.models.language_model.LanguageModel; name a subclass"
        raise SettingError("system.model._target_", problem)
    return Built(model, model.datamodule(cfg.seed), evaluation_data, getattr(model, "targets", None))


def check_splits(vocabulary: Vocabulary) -> None:
    """Refuse a text whose validation or test split is too short to measure on.

    Raises:
        SettingError: a split has fewer than `LEAST_WORDS` words, or no word of the vocabulary.
    """
    for split in ("validation", "test"):
        text = getattr(vocabulary.corpus, split)
        known = int((vocabulary.encode(text.words) != vocabulary.unk).sum())
        if len(text) < LEAST_WORDS or not known:
            problem = f"{len(text)} words in its {split} split, {known} of them in the vocabulary"
            raise SettingError(
                "corpus",
                f"{vocabulary.corpus.name} has {problem}; give a longer text, or raise evaluation.{split}_words",
            )


def word_system(cfg: DictConfig, evaluation_data: EvaluationData, table: Tensor | None) -> Built:
    """Build any head on any backbone; targets are built only for a head whose settings name `targets`.

    Args:
        table: see `build_cell`.

    Raises:
        SettingError: settings that the head refuses, a class that is no backbone or no head, or a backbone that breaks
            its contract.
    """
    vocabulary = evaluation_data.vocabulary
    inputs = Inputs(vocabulary, make_encoder(cfg.targets, cfg.cache_dir) if cfg.inputs == "contextual" else None)
    trunk = instantiate(cfg.backbone.trunk, vocabulary_size=len(vocabulary), input_width=inputs.width)
    if not isinstance(trunk, Backbone):
        problem = f"{cfg.backbone.trunk._target_} is not a bench.models.backbones.Backbone; name a subclass"
        raise SettingError("backbone.trunk._target_", problem)
    check_contract(trunk)
    if cfg.inputs == "contextual":
        inputs.vectors("train")  # before the targets, which then read the cached vectors and do not encode again
    parts: dict[str, Any] = {"hidden_size": trunk.hidden_size, "vocabulary": vocabulary}
    if "targets" in cfg.system.head:
        if table is None:
            settings = json.dumps(OmegaConf.to_container(cfg.targets, resolve=True))
            shared = make_targets(settings, vocabulary, cfg.cache_dir)
            check_table(shared, cfg.targets.get("_target_"), len(vocabulary))
            parts["targets"] = copy.copy(shared)
            parts["targets"].table = shared.table.clone()  # a head's buffer, which loading weights overwrites
        else:
            parts["targets"] = Targets(cfg.targets.name, cfg.targets.level, table)
    try:
        head = instantiate(cfg.system.head, _partial_=True, _recursive_=False)(**parts)
    except TypeError as error:  # options without annotations, which `bench.core.settings` cannot check
        problem = f"{cfg.system.head._target_} does not take these settings ({error}); correct them"
        raise SettingError("system.head", problem) from error
    if not isinstance(head, Head):
        raise SettingError(
            "system.head._target_", f"{cfg.system.head._target_} is not a bench.heads.Head; name a subclass"
        )
    targets = parts.get("targets")
    occurrences = targets if table is None and targets is not None and targets.level == "token" else None
    datamodule = WordData(inputs, occurrences, streams=cfg.batch.streams, steps=cfg.batch.steps, seed=cfg.seed)
    model = WordModel(trunk, head, inputs, lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)
    return Built(model, datamodule, evaluation_data, targets)
