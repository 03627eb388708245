"""Encoder ledger: variants against plain passes, drift against a slow reference, the job and its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.configurations import composed, composed_with_hydra
from factories.encoder import PIECES, WORDS, plain_pass, save, tiny_bert, tiny_encoder
from hydra import initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers import DistilBertConfig, DistilBertModel

from bench.core.config_check import check_config
from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.paths import resolved_config
from bench.core.sweep_plan import jobs
from bench.cost import encoder_drift, encoder_rounds, encoder_sweep
from bench.cost.encoder_sweep import EncoderSweep
from bench.cost.encoder_variants import (
    DOCUMENTS,
    EncoderVariant,
    EqualLengthReader,
    PlainReader,
    Sample,
    encode,
    make_sample,
)
from bench.cost.schema import EncoderLedger
from bench.data.corpus import build_corpus

WINDOW, SHARE = 4, 10
NAMES = ["causal", "peer:plain batches", "prefix", "peer:a forward a word, equal lengths", "bidirectional", "causal"]


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Ten words of each document of at least ten words; no two windows begin with equal words."""
    documents = [WORDS, ["cat"], WORDS[::-1]]
    return make_sample(
        build_corpus("tiny", {"train": documents, "validation": [WORDS], "test": [WORDS]}), DOCUMENTS * SHARE
    )


def words_of(sample: Sample) -> list[list[str]]:
    return [[sample.lexicon[word] for word in document] for document in sample.text.documents()]


def test_sample_holds_the_beginnings_of_documents_that_are_long_enough(sample):
    assert words_of(sample) == [WORDS[:SHARE], WORDS[::-1][:SHARE]]
    assert words_of(sample.document(1)) == [WORDS[::-1][:SHARE]]
    assert [len(document) for document in words_of(sample.cut(4))] == [4, 4, 2, 4, 4, 2]
    assert words_of(sample.isolated_types()) == [[word] for word in sample.lexicon]


@pytest.mark.parametrize("kind", [PlainReader, EqualLengthReader])
@pytest.mark.parametrize("context", ["causal", "prefix", "bidirectional"])
def test_baselines_give_the_same_vectors_as_this_projects_reader(encoder, sample, kind, context):
    ours = encoder(context=context, window=WINDOW)
    theirs = encode(ours.load_model(kind, precision="fp32"), sample)
    np.testing.assert_allclose(encode(EncoderVariant(name="", encoder=ours).build(), sample), theirs, atol=1e-5)


@pytest.mark.parametrize("kind", [PlainReader, EqualLengthReader])
@pytest.mark.parametrize("context", ["causal", "prefix", "bidirectional"])
def test_baselines_give_the_model_a_mask_of_all_pieces_that_are_not_padding(
    encoder, sample, kind, context, monkeypatch
):
    reader = encoder(context=context, window=WINDOW).load_model(kind, precision="fp32")
    masked, forward = [], reader.model.forward

    def spied(ids: torch.Tensor, *, attention_mask: torch.Tensor | None = None, **options):
        masked.append(attention_mask is not None and torch.equal(attention_mask.bool(), ids != reader.pad_id))
        return forward(ids, attention_mask=attention_mask, **options)

    monkeypatch.setattr(reader.model, "forward", spied)
    encode(reader, sample)
    assert masked and all(masked)


def test_equal_length_batches_have_no_padding_and_cover_every_span_once(encoder):
    reader = encoder(context="prefix").load_model(EqualLengthReader, precision="fp32")
    lengths = np.random.default_rng(0).integers(1, 6, 5000)
    batches = [*reader.batches(lengths)]
    assert sorted(np.concatenate(batches).tolist()) == [*range(5000)]
    assert all(len(set(lengths[batch])) == 1 for batch in batches)
    assert len(batches) > 5


def exact(
    folder: Path, documents: list[list[str]], begin: Callable[[int], int], *, causal: bool = False
) -> torch.Tensor:
    """Encode one pass per word, over the words from position `begin(t)` to position t."""
    passes = [
        plain_pass(folder, document[begin(t) : t + 1], causal=causal)[-1].mean(0)
        for document in documents
        for t in range(len(document))
    ]
    return torch.stack(passes)


def windows(folder: Path, documents: list[list[str]]) -> torch.Tensor:
    passes = [
        pieces.mean(0)
        for document in documents
        for at in range(0, len(document), WINDOW)
        for pieces in plain_pass(folder, document[at : at + WINDOW], causal=False)
    ]
    return torch.stack(passes)


def share_of_own_nearest(some: torch.Tensor, known: torch.Tensor) -> float:
    best = [max(range(len(known)), key=lambda j: torch.cosine_similarity(one, known[j], dim=0)) for one in some]
    return sum(i == j for i, j in enumerate(best)) / len(best)


def test_drift_equals_the_drift_of_plain_passes(encoder, folder, sample):
    variants = [
        EncoderVariant(name=context, encoder=encoder(context=context, window=WINDOW))
        for context in ("causal", "prefix", "bidirectional")
    ]
    results = encoder_rounds.measure(variants, sample, 1, lambda *_: None)
    assert [result.status for result in results] == ["ok"] * 3
    drift = {
        row.vectors: row for row in encoder_drift.drifts(*encoder_rounds.drift_vectors(results, sample, WINDOW), seed=0)
    }

    documents = words_of(sample)
    whole = exact(folder, documents, lambda t: max(0, t + 1 - WINDOW))
    within = exact(folder, documents, lambda t: t - t % WINDOW)
    cheap = {
        "causal": exact(folder, documents, lambda t: t - t % WINDOW, causal=True),
        "bidirectional": windows(folder, documents),
        "the bare word": exact(folder, documents, lambda t: t),
    }
    assert set(drift) == {*cheap, "prefix of another place"}
    for name, some in cheap.items():
        row = drift[name]
        assert row.cosine == pytest.approx(float(torch.cosine_similarity(some, whole).mean()), abs=1e-4)
        assert row.cosine_within == pytest.approx(float(torch.cosine_similarity(some, within).mean()), abs=1e-4)
        assert row.own_nearest == share_of_own_nearest(some, whole)
        assert row.own_nearest_within == share_of_own_nearest(some, within)
    assert drift["prefix of another place"].own_nearest is None


def test_own_nearest_does_not_depend_on_the_block_size(monkeypatch):
    known = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    some = known + np.random.default_rng(1).normal(size=known.shape).astype(np.float32)
    expected = share_of_own_nearest(torch.from_numpy(some), torch.from_numpy(known))
    assert 0 < expected < 1
    for cells in (1, 50 * 7, 10**6):
        monkeypatch.setattr(encoder_drift, "CELLS", cells)
        assert encoder_drift.own_nearest(some, known) == expected


def test_own_nearest_counts_ties_between_equal_vectors():
    known = np.array([[1, 0], [0, 1], [3, 0]], np.float32)
    assert encoder_drift.own_nearest(known, known) == 1
    assert encoder_drift.own_nearest(known[[1, 0, 2]], known) == 1 / 3


def test_ratio_to_the_baseline_is_taken_round_by_round(encoder, sample, monkeypatch):
    ours = EncoderVariant(name="ours", encoder=encoder(window=WINDOW))
    variants = [ours, EncoderVariant(name="peer:theirs", encoder=ours.encoder, baseline=PlainReader)]
    speeds = {"ours": [100.0, 10.0, 1.0], "peer:theirs": [50.0, 4.0, 0.9]}  # words a second

    def measure_once(result: encoder_rounds.EncoderResult, sample: Sample, nth_round: int) -> None:
        result.vectors[None] = np.eye(3)
        result.words_per_second.append(speeds[result.variant.name][nth_round])

    monkeypatch.setattr(encoder_rounds, "measure_once", measure_once)
    mine, theirs = encoder_rounds.measure(variants, sample, 3, lambda *_: None)
    assert mine.figures["times_peer"] == [0.44, 0.5, 0.74]  # of .4, .5 and .9
    assert "times_peer" not in theirs.figures


def test_variant_without_memory_is_a_row_and_the_others_are_measured(encoder, sample, monkeypatch):
    build = EncoderVariant.build

    def exhausted(variant: EncoderVariant):
        if variant.context == "prefix":
            raise torch.OutOfMemoryError("can't allocate memory")
        return build(variant)

    monkeypatch.setattr(EncoderVariant, "build", exhausted)
    variants = [
        EncoderVariant(name=context, encoder=encoder(context=context, window=WINDOW))
        for context in ("prefix", "causal")
    ]
    hungry, modest = encoder_rounds.measure(variants, sample, 2, lambda *_: None)
    assert (hungry.status, hungry.reason) == ("oom", "OutOfMemoryError: can't allocate memory")
    assert hungry.row().words_per_second is None
    assert modest.status == "ok" and len(modest.words_per_second) == 2
    assert encoder_rounds.drift_vectors([hungry, modest], sample, WINDOW) is None


def test_context_that_the_model_does_not_support_is_missing_and_the_others_are_compared(sample, tmp_path):
    sizes = {"vocab_size": len(PIECES), "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "pad_token_id": 0}
    small = DistilBertModel(DistilBertConfig(**sizes, max_position_embeddings=40, initializer_range=0.5))
    place = save(tmp_path / "distilbert", small)
    contexts = ("causal", "prefix", "bidirectional")
    encoders = (tiny_encoder(place, tmp_path, context=context, window=WINDOW) for context in contexts)
    results = encoder_rounds.measure(
        [EncoderVariant(name="", encoder=each) for each in encoders], sample, 1, lambda *_: None
    )
    assert [result.status for result in results] == ["missing", "ok", "ok"]
    assert results[0].reason.endswith("ignores the causal mask; use targets.context=prefix")
    assert set(encoder_rounds.drift_vectors(results, sample, WINDOW)[0]) == {"bidirectional", "the bare word"}


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """Nine documents of sixty words."""
    place = tmp_path_factory.mktemp("text")
    for nth in range(9):
        (place / f"{nth}.txt").write_text(" ".join((WORDS[nth:] + WORDS[:nth]) * 4))
    return place


@pytest.fixture(scope="module")
def configured(text, tmp_path_factory) -> Callable[..., DictConfig]:
    bert = tiny_bert(tmp_path_factory.mktemp("small"))
    settings = [f"targets.encoder={bert}", "corpus=text", f"corpus.path={text}", f"results_dir={text.parent / 'cost'}"]
    small = ["cost.words=256", "cost.window=4", "cost.rounds=2", "targets.window=8"]

    def make(*overrides: str, hydra: bool = False) -> DictConfig:
        compose = composed_with_hydra if hydra else composed
        return compose("+experiment=cost_encoder", *settings, *small, *overrides)

    return make


def least_cosine_of_plain_passes(cfg: DictConfig, precision: str) -> float:
    """Least cosine of plain passes in this precision to the same passes in fp32, over all variants of the ledger."""
    config = resolved_config(cfg)
    corpus = instantiate(cfg.corpus.source).trained_on(None)
    sample = make_sample(corpus, config["cost"]["words"])
    cosines = [
        encoder_drift.cosines(
            *(encode(variant.encoder.load_model(PlainReader, precision=each), sample) for each in (precision, "fp32"))
        )
        for variant in encoder_sweep.encoder_variants(config)
    ]
    return float(np.min(cosines))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_job_measures_every_variant_and_its_file_holds_the_same(configured, precision):
    cfg = configured(f"targets.precision={precision}")
    check_config(OmegaConf.to_container(cfg, resolve=True))
    # bf16 has 8 significant bits: ours may lose at most four times what a plain pass in bf16 loses
    lost = 1e-4 if precision == "fp32" else 4 * (1 - least_cosine_of_plain_passes(cfg, precision))
    assert 0 < lost < 0.2
    ledger = EncoderSweep().run(cfg)
    path = EncoderSweep().record_stem(resolved_config(cfg))
    assert path.name.startswith("encoder-") and path.parent.name == "cost_sweep"
    assert EncoderLedger.read(path.with_name(f"{path.name}.json")) == ledger
    assert EncoderSweep().finished(path.with_name(f"{path.name}.json"))
    assert [row.contender for row in ledger.rows] == NAMES
    assert [row.window for row in ledger.rows] == [8, 8, 4, 4, 4, 4]
    for row in ledger.rows:
        assert 0 < row.words_per_second[0] <= row.words_per_second[1] <= row.words_per_second[2]
        assert row.peak_mib > 0
        ours = not row.contender.startswith("peer:")
        assert (row.cosine_to_fp32 is not None) == ours
        assert not ours or row.least_cosine_to_fp32 > 1 - lost
        assert row.precision == (precision if ours else "fp32")
        assert (row.times_peer is not None) == (row in (ledger.rows[0], ledger.rows[2]))
    assert (ledger.status, ledger.corpus, ledger.rounds, ledger.threads) == ("ok", cfg.corpus.name, 2, 1)
    assert len(ledger.drift) == 4 and ledger.weights_sha256
    speeds = [f"{row.contender} {row.words_per_second[1]:,.0f} words/s" for row in (ledger.rows[i] for i in (2, 4, 5))]
    assert EncoderSweep().headline(ledger) == ", ".join(speeds)


def test_file_name_depends_on_the_settings_that_the_figures_depend_on(configured):
    def place(*more: str) -> str:
        return EncoderSweep().record_stem(resolved_config(configured(*more))).name

    assert place() == place(
        "cost.rounds=9", "force=true", "targets.context=prefix", "targets.level=token", "system=mse"
    )
    others = (
        "cost.words=512",
        "cost.window=8",
        "targets.window=9",
        "targets.pooling=last",
        "device=cuda",
    )
    assert len({place(), *(place(other) for other in others)}) == 1 + len(others)


def test_experiment_cost_encoder_is_one_job(configured):
    cfg = configured(hydra=True)
    cfg.hydra.overrides.task = ["+experiment=cost_encoder"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        assert jobs(cfg) == [["+experiment=cost_encoder"]]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("targets=random", r"^targets: random has no encoder to measure; choose targets=bert$"),
        ("cost.words=1", r"^cost\.words: 1 is not valid"),
        ("cost.window=0", r"^cost\.window: 0 is not valid"),
        ("cost.rounds=0", r"^cost\.rounds: 0 is not valid"),
        ("device=cuda", r"^device: torch finds no CUDA device here; use device=cpu$"),
    ],
)
def test_bad_setting_is_reported_in_one_line(configured, override, line):
    if override == "targets=random":
        cfg = configured()
        cfg.targets = {
            "name": "random",
            "_target_": "bench.targets.random.random",
            "level": "type",
            "dimension": 3,
            "seed": 0,
        }
    else:
        cfg = configured(override)
    if override == "device=cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SettingError, match=line):
        check_config(OmegaConf.to_container(cfg, resolve=True))
        EncoderSweep().run(cfg)


def test_failed_job_leaves_a_ledger_that_is_not_finished(configured):
    config = resolved_config(configured("corpus.lowercase=false"))
    failed = EncoderSweep().failed(config, SettingError("targets.layer", "99 is not between -4 and 3"))
    assert (failed.status, failed.reason) == ("failed", "all: targets.layer: 99 is not between -4 and 3")
    path = EncoderSweep().record_stem(config)
    assert EncoderLedger.read(path.with_name(f"{path.name}.json")) == failed
    assert not EncoderSweep().finished(path.with_name(f"{path.name}.json"))


@pytest.mark.slow
def test_command_measures_reports_and_skips_finished_jobs(configured, tmp_path, forked):
    cfg = configured()
    settings = [f"targets.encoder={cfg.targets.encoder}", "corpus=text", f"corpus.path={cfg.corpus.path}"]
    command = [
        "+experiment=cost_encoder",
        *settings,
        "cost.words=256",
        "cost.window=4",
        "cost.rounds=2",
        "targets.window=8",
    ]
    first = forked(tmp_path, *command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "words/s" in first.stderr and "Warning" not in first.stderr
    assert "How far each context is from prefix" in (tmp_path / "results" / "cost_sweep" / "costs.md").read_text()
    assert forked(tmp_path, *command).stderr.count("skipped: result exists") == 1
