"""Head ledger: its contenders, baselines that do equal work, rounds, and contenders that fail."""

import dataclasses
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from factories.configurations import composed, composed_with_hydra
from factories.records import partial_record, write_all
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.testing import assert_close

from bench.core.config_check import check_config
from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.record import read_records
from bench.core.sweep_plan import jobs
from bench.cost import earlier_rows, head_rounds, head_sweep, timing
from bench.cost.ann_indexes import approximate, as_distances
from bench.cost.baseline_losses import BASELINE_LOSSES, CHUNKINGS
from bench.cost.baseline_search import BASELINE_SEARCHES
from bench.cost.contender import Contender, Missing, Operations
from bench.cost.head_rounds import measure
from bench.cost.head_sweep import HeadSweep
from bench.cost.ledger import measured_elsewhere
from bench.cost.measurement import Limits, Measurement
from bench.cost.our_heads import head_alone, row_adam, systems, whole_model
from bench.cost.schema import HeadLedger, HeadRow, ledger_class
from bench.cost.synthetic_inputs import SyntheticInputs, make_inputs
from bench.evaluation import exact_decoder
from bench.report import report

V, N, H, D = 300, 64, 32, 48
TREE = Path(config_dir())
SMALL = [
    f"vocabulary.size={V}", f"cost.positions={N}", f"cost.hidden_size={H}", f"cost.target_size={D}", "cost.rounds=2",
    "cost.repeat_seconds=0.0005",
]  # fmt: skip
COMPILED = "peer:torch.compile(linear + cross_entropy)"
WITH_HEAD = {
    each["name"] for each in map(yaml.safe_load, (file.read_text() for file in (TREE / "system").glob("*.yaml")))
    if "head" in each
}  # fmt: skip
NAMES = WITH_HEAD | {each.name for each in (*BASELINE_LOSSES, *BASELINE_SEARCHES)}
LIMITS = Limits(rounds=3, operation_seconds=1, repeat_seconds=0.0005, longest_seconds=30)
OPERATIONS = ("step_ms", "adam_ms", "sgd_ms", "decode_1_ms", "decode_256_ms", "rank_256_ms")


def configured(experiment: str, *overrides: str, hydra: bool = False) -> DictConfig:
    return (composed_with_hydra if hydra else composed)(f"+experiment={experiment}", *overrides)


@pytest.fixture(scope="module", autouse=True)
def small_matrix():
    """Measure the machine's peak by a small product."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(timing.MATRIX, "cpu", 256)
        yield


@pytest.fixture(scope="module")
def tree():
    """Hydra as a job finds it."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def inputs() -> SyntheticInputs:
    return make_inputs(size=V, positions=N, hidden_size=H, target_size=D, device="cpu", precision="fp32", seed=0)


@pytest.fixture(scope="module")
def ledger(tree, tmp_path_factory) -> HeadLedger:
    """Ledger of all contenders, except the compiled baseline: compiling is slow."""
    names = ",".join(f"'{name}'" for name in sorted(NAMES - {COMPILED}))
    cfg = configured(
        "cost_sweep", *SMALL, f"results_dir={tmp_path_factory.mktemp('cost')}", f"cost.contenders=[{names}]"
    )
    ledger = HeadSweep().run(cfg)
    path = HeadSweep().record_stem(OmegaConf.to_container(cfg, resolve=True))
    assert HeadLedger.read(path.with_name(f"{path.name}.json")) == ledger
    return ledger


def built(name: str, inputs: SyntheticInputs) -> Operations:
    """Build a contender by its name."""
    everyone = [*map(head_alone, systems()), *BASELINE_LOSSES, *BASELINE_SEARCHES]
    return next(each for each in everyone if each.name == name).build(inputs)


def test_ledger_holds_every_system_with_a_head_and_every_baseline(ledger):
    assert {row.contender for row in ledger.rows} == NAMES - {COMPILED}
    missing = {row.contender: row.reason for row in ledger.rows if row.status != "ok"}
    assert set(missing) == {"peer:liger fused linear cross-entropy", "peer:cut cross-entropy, no bias"}
    assert set(missing.values()) == {"the kernels need a GPU; use device=cuda"}


def test_every_figure_is_a_span_or_null(ledger):
    for row in ledger.rows:
        spans = [getattr(row, operation) for operation in OPERATIONS]
        assert all(found is None or 0 < found[0] <= found[1] <= found[2] for found in spans)
        if row.contender in WITH_HEAD:
            assert None not in spans
        trained = row.contender in WITH_HEAD or (row.step_ms is not None)
        figures = (row.peak_mib, row.adam_mib, row.flops_per_position, row.peak_share)
        assert all((figure is not None and figure > 0) == trained for figure in figures) or row.adam_mib == 0
    assert len(ledger.peak_gflops) == 3 and ledger.status == "ok" and ledger.reason is None


def test_figures_of_softmax_equal_arithmetic(ledger):
    for name in ("softmax", "peer:linear + cross_entropy"):
        [row] = [row for row in ledger.rows if row.contender == name]
        assert row.parameters == V * (H + 1)
        assert row.weights_mib == row.parameters * 4 / 2**20
        assert row.adam_mib == pytest.approx(2 * row.weights_mib, rel=0.01)
        assert row.flops_per_position == 3 * 2 * H * V
        achieved = row.flops_per_position * N / row.step_ms[1] / 1e6
        assert row.peak_share == pytest.approx(achieved / ledger.peak_gflops[1], rel=1e-3)


def test_indexes_of_equal_rows_are_shared_by_softmax_and_sampled_softmax(ledger):
    found = {row.contender: row.approximate for row in ledger.rows if row.approximate is not None}
    reading = {"mse", "cosine", "vmf", "infonce", "max_margin", "frozen_softmax", "initialised_softmax", "rescued"}
    assert set(found) == {"softmax", "sampled_softmax", "nce", "projected_softmax", *reading}
    assert found["softmax"] == found["sampled_softmax"] == found["nce"]
    assert {row.contender for row in ledger.rows if row.reads_targets} == reading
    for rows in found.values():
        assert [row["index"] for row in rows] == ["hnsw", "ivf"]
        assert all(row["recall_at_10"] > 0.9 and row["build_s"] > 0 for row in rows)


@pytest.mark.parametrize("name", ["softmax", "linear + cross_entropy", *CHUNKINGS])
def test_exact_baselines_have_loss_and_gradients_of_plain_cross_entropy(tree, inputs, name):
    operations = built(name if name == "softmax" else f"peer:{name}", inputs)
    weight, bias = operations.module.parameters()
    exact = [each.detach().clone().requires_grad_() for each in (inputs.hidden, inputs.weight, inputs.bias)]
    expected = F.cross_entropy(F.linear(*exact), inputs.words)
    expected.backward()
    hidden = inputs.hidden.detach().clone().requires_grad_()
    loss = operations.loss(hidden, inputs.words)
    loss.backward()
    assert_close(loss, expected)
    assert_close([hidden.grad, weight.grad, bias.grad], [each.grad for each in exact], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # inductor's own warnings
def test_compiled_baseline_has_the_loss_of_the_plain_baseline(tree, inputs):
    operations, plain = built(COMPILED, inputs), built("peer:linear + cross_entropy", inputs)
    assert_close(operations.loss(inputs.hidden, inputs.words), plain.loss(inputs.hidden, inputs.words))


def test_adaptive_softmax_equals_torchs_module_on_equal_weights(tree, inputs):
    head, peer = built("adaptive_softmax", inputs), built("peer:AdaptiveLogSoftmaxWithLoss", inputs)
    peer.module.load_state_dict(head.module.clusters.state_dict())
    assert_close(head.loss(inputs.hidden, inputs.words), peer.loss(inputs.hidden, inputs.words))
    hidden, _ = inputs.queries(20)
    assert torch.equal(head.decode(hidden, 10), peer.decode(hidden, 10))


def test_sampled_baselines_differ_only_in_the_form_of_their_gradient(inputs):
    gradients = []
    for name in ("dense gradient", "Embedding(sparse=True)"):
        operations = built_baseline(f"peer:sampled softmax, {name}", inputs)
        torch.manual_seed(0)
        operations.loss(inputs.hidden, inputs.words).backward()
        rows, offsets = operations.module
        gradients.append([rows.weight.grad, offsets.weight.grad])
        assert operations.flops_per_position is None  # counted
    (dense, _), (sparse, _) = gradients
    assert sparse.is_sparse and not dense.is_sparse
    assert_close([each.to_dense() for each in gradients[1]], gradients[0])


def built_baseline(name: str, inputs: SyntheticInputs) -> Operations:
    return next(each for each in (*BASELINE_LOSSES, *BASELINE_SEARCHES) if each.name == name).build(inputs)


@pytest.mark.parametrize("many", [0, 10**9])
def test_all_contenders_with_softmax_rows_give_equal_words_and_ranks(tree, inputs, many, monkeypatch):
    monkeypatch.setattr(exact_decoder, "INDEX_ROWS", many)
    hidden, words = inputs.queries(50)
    with torch.no_grad():
        scores = hidden @ inputs.weight.T + inputs.bias
        expected = scores.topk(10).indices
        ranks = 1 + (scores > scores.gather(1, words[:, None])).sum(1)
        for name in ("softmax", "sampled_softmax", "peer:matmul + topk", "peer:faiss flat"):
            operations = built(name, inputs)
            assert torch.equal(operations.decode(hidden, 10), expected), name
            found = operations.rank(hidden, words) if operations.rank else ranks
            known = words != inputs.vocabulary.unk  # heads rank <unk> after all other words
            gap = (found - ranks)[known & (words > 0)]
            assert ((gap == 0) | (gap == -1)).all()  # a head does not count <unk> before the target


@pytest.mark.parametrize("many", [0, 10**9])
def test_all_contenders_with_targets_give_equal_words(tree, inputs, many, monkeypatch):
    monkeypatch.setattr(exact_decoder, "INDEX_ROWS", many)
    hidden, _ = inputs.queries(50)
    # a regressor on these inputs: the projection is the identity, and the bias the mean target
    shares = torch.from_numpy(inputs.vocabulary.counts / inputs.vocabulary.counts.sum()).float()
    predicted = F.pad(hidden, (0, D - H)) + shares @ inputs.targets.table
    nearest = torch.cdist(predicted, inputs.targets.table).topk(10, largest=False).indices
    for name in ("mse", "cosine"):
        assert torch.equal(built(name, inputs).decode(hidden, 10), nearest), name
    unbiased = (F.pad(hidden, (0, D - H)) @ inputs.targets.table.T).topk(10).indices
    for name in ("matmul + topk", "faiss flat", "sklearn.neighbors"):
        assert torch.equal(built_baseline(f"peer:{name}, targets", inputs).decode(hidden, 10), unbiased), name


def test_baseline_whose_package_is_absent_is_missing(inputs, monkeypatch):
    monkeypatch.setattr("bench.cost.contender.importlib.util.find_spec", lambda _: None)
    for name, package in (("faiss flat", "faiss-cpu"), ("sklearn.neighbors, targets", "scikit-learn")):
        with pytest.raises(Missing, match=rf"^pip install {package}$"):
            built_baseline(f"peer:{name}", inputs)


def test_nearest_widened_row_has_the_largest_inner_product():
    torch.manual_seed(0)
    queries, rows, offsets = torch.randn(20, 5), torch.randn(40, 5), torch.randn(40)
    wide, asked = map(torch.from_numpy, as_distances(queries, rows, offsets))
    best = (queries @ rows.T + offsets).topk(10).indices
    assert torch.equal(torch.cdist(asked, wide).topk(10, largest=False).indices, best)


def test_index_beyond_the_time_limit_reports_how_many_rows_it_holds(inputs):
    rows = torch.randn(3000, 8)
    found = approximate((lambda hidden: hidden, rows, None), torch.randn(4, 8), seconds=0.0)
    assert set(found[0]) == {"index", "reason"} and found[0]["index"] == "hnsw"
    assert re.fullmatch(
        r"1,024 of 3,000 rows after [\d.e-]+ s, too slow to end within 0 s; raise cost.index_seconds",
        found[0]["reason"],
    )


def test_word_counts_follow_zipf_up_to_one_word_per_bound(inputs):
    big = make_inputs(size=5000, positions=1000, hidden_size=4, target_size=4, device="cpu", precision="fp32", seed=1)
    shares = big.vocabulary.counts / big.vocabulary.counts.sum()
    assert np.all(np.diff(big.vocabulary.counts) <= 0) and shares[0] == pytest.approx(2 * shares[1], rel=1e-3)
    for low, high in ((0, 10), (10, 1000), (1000, 5000)):
        expected = 1000 * shares[low:high].sum()
        assert abs(((big.words >= low) & (big.words < high)).sum().item() - expected) <= 2


def fake_contender(name: str, calls: list[str], *, loss=None, decode=None) -> Contender:
    """Return a contender of one weight with the given loss and decoding."""

    def build(inputs: SyntheticInputs) -> Operations:
        calls.append(name)
        linear = nn.Linear(H, 1)
        return Operations(module=linear, loss=loss or (lambda hidden, _: linear(hidden).mean()), decode=decode)

    return Contender(name=name, build=build)


def test_heads_are_built_once_per_round_in_turn(inputs):
    calls: list[str] = []
    results, peaks = measure([fake_contender(name, calls) for name in "abc"], inputs, LIMITS, lambda *_: None)
    assert calls == [*"abc"] * 3
    assert {len(result.times_ms["step"]) for result in results} == {3} == {len(peaks)}


def test_step_without_flop_formula_is_timed_and_its_flops_are_null(tree, inputs, tmp_path, capsys):
    weight = torch.randn(H, requires_grad=True)
    contender = fake_contender("uncounted", [], loss=lambda hidden, _: (hidden @ weight).mean())
    [result], peaks = measure([contender], inputs, LIMITS, lambda *_: None)
    assert capsys.readouterr().err == (
        "flops_per_position: null, as no formula counts torch.ops.aten.mv; register one with "
        "torch.utils.flop_counter.register_flop_formula\n"
    )
    cfg = configured("cost_sweep", *SMALL, f"results_dir={tmp_path}")
    config = OmegaConf.to_container(cfg, resolve=True)
    row = head_sweep.head_row(result, config, peak_gflops=peaks[0])
    assert row.status == "ok" and row.step_ms is not None and row.adam_mib is not None
    assert row.flops_per_position is None and row.peak_share is None
    written = HeadLedger(**earlier_rows.header(config), peak_gflops=peaks, rows=[row]).write(
        HeadSweep().record_stem(config)
    )
    assert HeadLedger.read(written).rows == [row]
    report([written.parent], tmp_path)
    assert "uncounted" in (tmp_path / "costs.md").read_text()


def test_slow_operation_has_at_least_two_rounds_and_a_very_slow_one_has_one():
    limits, result = (
        Limits(rounds=9, operation_seconds=2, repeat_seconds=0.1, longest_seconds=1),
        Measurement(fake_contender("a", [])),
    )
    assert [result.rounds(ms, limits) for ms in (1, 400, 1400, 1600)] == [9, 5, 2, 1]
    assert [result.seconds_per_round(ms, limits) for ms in (1, 1400, 1600)] == pytest.approx([0.1, 0.45, 0.9])
    result.build_ms = 400
    assert result.rounds(1, limits) == 5
    result.build_ms = 4000
    assert result.rounds(1, limits) == 2


def stepping(loss) -> Contender:
    """Return a contender that has a training step alone."""
    linear = nn.Linear(H, 1)

    def build(_: SyntheticInputs) -> Operations:
        return Operations(module=linear, loss=lambda hidden, _: loss(linear(hidden).mean()))

    return Contender(name="stepping", build=build)


def smaller_row(**figures) -> dict[str, HeadRow]:
    """Return the row of `stepping` at a tenth of V."""
    return {"stepping": HeadRow(contender="stepping", part="head", vocabulary_size=V // 10, **figures)}


def test_step_is_not_tried_when_predicted_time_exceeds_the_limit(inputs):
    def step(loss):
        raise AssertionError("tried")

    for row, why in (
        (smaller_row(step_ms=[1600.0] * 3), "at V = 30 it took 1.6 s"),
        (smaller_row(status="slow", reason="step: more than 9 s"), "at V = 30 it was cut off already"),
    ):
        [result] = measure([stepping(step)], inputs, LIMITS, lambda *_: None, row)[0]
        assert result.status == "slow"
        assert result.reason == f"step: not tried, as {why}; raise cost.longest_seconds"


def test_step_runs_when_predicted_time_is_within_the_limit(inputs):
    smaller = [
        smaller_row(step_ms=[1400.0] * 3),
        smaller_row(status="slow", reason="rank_256: more", step_ms=[1.0] * 3),
        {},
    ]
    for row in smaller:
        [result] = measure([stepping(lambda loss: loss)], inputs, LIMITS, lambda *_: None, row)[0]
        assert (result.status, len(result.times_ms["step"])) == ("ok", 3)


def test_first_step_is_not_timed(inputs):
    """The first step counts FLOPs and memory too."""
    calls = []

    def step(loss):
        calls.append(time.sleep(0.1 if not calls else 0.001))
        return loss

    limits = Limits(rounds=1, operation_seconds=1, repeat_seconds=0, longest_seconds=30)
    [result] = measure([stepping(step)], inputs, limits, lambda *_: None)[0]
    assert len(calls) == 2 and result.times_ms["step"][0] < 100


def smaller(config: dict) -> dict[str, HeadRow]:
    ledgers = earlier_rows.comparable_ledgers(config, HeadSweep().record_stem(config).parent)
    return earlier_rows.smaller_rows(config, ledgers)


def test_published_ledgers_mean_the_same_as_those_of_today(tree):
    """Two time limits have had other names."""
    today = OmegaConf.to_container(configured("cost_sweep", "vocabulary.size=10000"), resolve=True)
    folder = Path(__file__).parents[2] / "results" / "reference" / "cost_sweep"
    published = HeadLedger.read(next(folder.glob("v10000-*.json"))).config
    assert earlier_rows.meaning(published)["cost"].keys() == earlier_rows.meaning(today)["cost"].keys()


def test_job_reads_the_next_smaller_ledger_of_the_same_sweep(tree, tmp_path):
    def at(size: int, *more: str) -> DictConfig:
        return configured("cost_sweep", f"vocabulary.size={size}", f"results_dir={tmp_path}", *more)

    def write_empty_ledger(size: int, *more: str) -> None:
        config = OmegaConf.to_container(at(size, *more), resolve=True)
        rows = [HeadRow(contender="softmax", part="head", vocabulary_size=size)]
        HeadLedger(**earlier_rows.header(config), peak_gflops=[], rows=rows).write(HeadSweep().record_stem(config))

    config = OmegaConf.to_container(at(300, "cost.rounds=2", "cost.contenders=[softmax]"), resolve=True)
    assert smaller(config) == {}
    for size in (100, 200, 400):
        write_empty_ledger(size)
    write_empty_ledger(250, "cost.hidden_size=32"), write_empty_ledger(260, "seed=1")
    write_all([partial_record(system="vmf")], tmp_path / "cost_sweep")  # its name begins as a ledger's does
    assert smaller(config)["softmax"].vocabulary_size == 200


def test_slow_row_of_a_shorter_time_limit_is_ignored(tree, tmp_path):
    def at(size: int, seconds: int) -> dict:
        more = [f"vocabulary.size={size}", f"results_dir={tmp_path}", f"cost.longest_seconds={seconds}"]
        return OmegaConf.to_container(configured("cost_sweep", *more), resolve=True)

    config = at(100, 10)
    reason = "step: more than 10 s"
    rows = [HeadRow(contender="softmax", part="head", vocabulary_size=100, status="slow", reason=reason)]
    HeadLedger(**earlier_rows.header(config), peak_gflops=[], rows=rows).write(HeadSweep().record_stem(config))
    assert set(smaller(at(200, 10))) == {"softmax"}
    assert smaller(at(200, 20)) == {}


def test_operation_without_memory_fails_alone(inputs):
    def exhausted(*_):
        raise torch.OutOfMemoryError("can't allocate memory: you tried to allocate 99 bytes")

    calls: list[str] = []
    some = [
        fake_contender("hungry", calls, loss=exhausted, decode=lambda hidden, count: hidden.topk(count)),
        fake_contender("modest", calls),
    ]
    hungry, modest = measure(some, inputs, LIMITS, lambda *_: None)[0]
    assert (hungry.status, modest.status) == ("oom", "ok")
    assert hungry.reason.startswith("step: OutOfMemoryError: can't allocate memory")
    assert set(hungry.times_ms) == {"decode_1", "decode_256"} and set(modest.times_ms) == {"step", "adam", "sgd"}


def test_first_call_beyond_the_time_limit_is_slow(inputs):
    def endless(*_):
        time.sleep(20)

    begin = time.perf_counter()
    limits = Limits(rounds=2, operation_seconds=1, repeat_seconds=0, longest_seconds=0.2)
    [result] = measure([fake_contender("slow", [], loss=endless)], inputs, limits, lambda *_: None)[0]
    assert time.perf_counter() - begin < 10
    assert (result.status, result.reason) == ("slow", "step: takes more than 0.2 s; raise cost.longest_seconds")


def test_missing_package_is_reported_with_the_remedy(inputs):
    def build(_: SyntheticInputs) -> Operations:
        raise Missing("pip install it")

    [result] = measure([Contender(name="absent", build=build)], inputs, LIMITS, lambda *_: None)[0]
    assert (result.status, result.reason, result.times_ms) == ("missing", "pip install it", {})


def test_no_head_draws_its_rows_at_random(inputs, tree, monkeypatch):
    """Drawing a million rows would take longer than a step."""

    def refuse(rows: torch.Tensor, *_, **__):
        assert rows.shape != inputs.weight.shape
        return rows

    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    for each in systems():
        head_alone(each).build(inputs)


def test_round_leaves_no_gradient_behind(inputs):
    head_rounds.measure_once(Measurement(fake_contender("a", [])), inputs, LIMITS, 0)
    assert inputs.hidden.grad is None


def test_rows_of_a_timed_update_have_skipped_a_step_as_in_training():
    weight = torch.nn.Parameter(torch.zeros(9, 2))
    [optimizer] = row_adam([weight])
    for _ in range(3):
        weight.grad = torch.sparse_coo_tensor(
            torch.tensor([[3, 7]]), torch.ones(2, 2), weight.shape, check_invariants=True
        )
        optimizer.step()
    assert optimizer.state[weight]["last"][[3, 7]].tolist() == [2, 2] and optimizer.state[weight]["step"] == 3


def test_figures_of_a_whole_model_are_head_plus_trunk(tree, inputs, tmp_path):
    cfg = configured("cost_sweep_model", *SMALL, "cost.rounds=1", f"results_dir={tmp_path}")
    ledger = HeadSweep().run(cfg)
    assert {row.contender for row in ledger.rows} == WITH_HEAD and ledger.status == "ok"
    [softmax] = [row for row in ledger.rows if row.contender == "softmax"]
    assert softmax.part == "model" and softmax.decode_256_ms is not None
    assert softmax.flops_per_position == 3 * 2 * (H * V + 2 * 4 * H**2)  # an LSTM of one layer
    assert softmax.parameters == V * (H + 1) + (V + 1) * H + 4 * H * (2 * H + 2)
    assert softmax.adam_mib == pytest.approx(2 * softmax.parameters * 4 / 2**20, rel=0.02)  # of head and trunk


def test_positions_that_are_no_multiple_of_streams_are_reported_in_one_line(tree):
    odd = make_inputs(size=V, positions=30, hidden_size=H, target_size=D, device="cpu", precision="fp32", seed=0)
    cfg = configured("cost_sweep_model", *SMALL)
    contender = whole_model(next(iter(systems())), cfg.backbone, streams=16)
    with pytest.raises(SettingError, match=r"cost\.positions: 30 is not a multiple"):
        contender.build(odd)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("device=tpu", r"^device: .*cpu.*cuda"),
        ("precision=fp8", r"^precision: .*fp32.*bf16"),
        ("cost.rounds=0", r"^cost\.rounds: "),
        ("cost.contenders=[nobody]", r"^cost\.contenders: there is no nobody"),
    ],
)
def test_bad_setting_is_reported_in_one_line(tree, override, line):
    cfg = configured("cost_sweep", *SMALL, override)
    with pytest.raises(SettingError, match=line):
        check_config(OmegaConf.to_container(cfg, resolve=True))
        HeadSweep().run(cfg)


def test_trunk_of_another_width_than_the_cost_is_refused(tree):
    cfg = configured("cost_sweep_model", "cost.hidden_size=16", "backbone.trunk.hidden_size=32")
    with pytest.raises(SettingError, match=r"^backbone.trunk.hidden_size: it is 32; give cost.hidden_size=32 instead"):
        head_sweep.selected_contenders(cfg)


def test_ledger_of_another_number_of_threads_is_said_to_be_measured_elsewhere(ledger, tmp_path):
    assert measured_elsewhere(ledger, "cpu") == ""
    other = dataclasses.replace(ledger, threads=ledger.threads + 1)
    assert measured_elsewhere(other, "cpu") == f"measured on {ledger.device} with {ledger.threads + 1} threads"


@pytest.mark.parametrize(("experiment", "part"), [("cost_sweep", "head"), ("cost_sweep_model", "model")])
def test_sweep_has_one_job_and_one_file_per_vocabulary_size(tree, experiment, part):
    cfg = configured(experiment, hydra=True)
    cfg.hydra.overrides.task = [f"+experiment={experiment}"]
    assert cfg.cost.part == part and cfg.experiment_name == "cost_sweep"  # one page
    sizes = [1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
    assert jobs(cfg) == [[f"vocabulary.size={size}", f"+experiment={experiment}"] for size in sizes]

    def place(*more: str) -> Path:
        return HeadSweep().record_stem(OmegaConf.to_container(configured(experiment, *more), resolve=True))

    assert len({place(f"vocabulary.size={size}") for size in sizes}) == len(sizes)
    assert place("vocabulary.size=1000").name.startswith("v1000-")
    assert place() == place("force=true", "corpus=kjv", "logger=csv")
    assert len({place(), place("device=cuda"), place("cost.positions=7"), place("precision=bf16")}) == 4


@pytest.mark.slow
def test_command_measures_reports_and_skips_finished_jobs(tmp_path, forked):
    command = ["+experiment=cost_sweep", *SMALL[1:], "vocabulary.size=300,400", "cost.contenders=[softmax,mse]"]
    first = forked(tmp_path, *command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 of 2 contenders measured" in first.stderr and "Warning" not in first.stderr
    files = sorted((tmp_path / "results" / "cost_sweep").glob("*.json"))
    assert [HeadLedger.read(file).vocabulary_size for file in files] == [300, 400]
    again = forked(tmp_path, *command)
    assert again.returncode == 0 and again.stderr.count("skipped: result exists") == 2


def test_job_times_only_the_contenders_that_are_new_or_changed(tree, tmp_path, monkeypatch):
    """The same job three times: with one contender, with one more, and on another commit."""
    monkeypatch.setattr("bench.core.provenance.git_commit", lambda: "1" * 40)
    timed: list[list[str]] = []

    def recorded(contenders, *arguments):
        timed.append([contender.name for contender in contenders])
        return measure(contenders, *arguments)

    monkeypatch.setattr("bench.cost.head_sweep.measure", recorded)

    def job(names: str, *more: str) -> HeadLedger:
        contenders = f"cost.contenders=[{names}]"
        return HeadSweep().run(
            configured("cost_sweep", *SMALL, "cost.rounds=1", contenders, f"results_dir={tmp_path}", *more)
        )

    first, second = job("mse"), job("mse,softmax")
    kept = {row.contender: row for row in second.rows}
    assert kept["mse"].step_ms == first.rows[0].step_ms and kept["mse"].measured_at == first.finished_at
    assert kept["softmax"].measured_at is None and len(kept["softmax"].identity) == 17
    assert HeadSweep().headline(second) == "2 of 2 contenders measured, 1 of them earlier"
    job("mse,softmax", "force=true")
    monkeypatch.setattr("bench.cost.earlier_rows.head_identities", lambda: {"mse": "changed", "softmax": "changed"})
    job("mse,softmax")
    monkeypatch.undo()
    monkeypatch.setattr("bench.cost.head_sweep.measure", recorded)
    monkeypatch.setattr("bench.core.provenance.git_commit", lambda: "2" * 40)
    job("mse,softmax,nce")
    expected = [["mse"], ["softmax"], ["mse", "softmax"], ["mse", "softmax"], ["mse", "nce", "softmax"]]
    assert [sorted(names) for names in timed] == expected


def test_ledger_says_its_kind_inside_and_is_found_under_any_name(ledger, tmp_path):
    ledger.write(tmp_path / "mine")
    assert ledger_class(tmp_path / "mine.json") is HeadLedger and read_records([tmp_path]) == []
    (tmp_path / "mine.json").rename(tmp_path / "encoder-0123abcd.json")
    assert ledger_class(tmp_path / "encoder-0123abcd.json") is HeadLedger
