"""The cost sweep: who is measured, that peers do the same work, what becomes of those that cannot."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from factories.commands import bench
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.testing import assert_close

from bench.core.config_check import check_config
from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.record import read_records
from bench.cost import earlier_rows, interleave, timing
from bench.cost.ann_indexes import approximate, as_distances
from bench.cost.baseline_losses import CHUNKINGS, PEERS
from bench.cost.baseline_search import SEARCHERS
from bench.cost.contender import Contender, Missing, Operations
from bench.cost.head_sweep import HeadSweep
from bench.cost.interleave import measure
from bench.cost.measurement import Limits, Measurement
from bench.cost.our_heads import head_alone, systems, whole_model
from bench.cost.schema import HeadLedger, Row, ledger_class
from bench.cost.synthetic_inputs import SyntheticInputs, make_inputs
from bench.evaluation import decoding
from bench.sweep import jobs

V, N, H, D = 300, 64, 32, 48
TREE = Path(config_dir())
SMALL = [
    f"vocabulary.size={V}", f"cost.positions={N}", f"cost.hidden_size={H}", f"cost.target_size={D}", "cost.rounds=2",
    "cost.visit_seconds=0.0005",
]  # fmt: skip
COMPILED = "peer:torch.compile(linear + cross_entropy)"
WITH_HEAD = {
    each["name"] for each in map(yaml.safe_load, (file.read_text() for file in (TREE / "system").glob("*.yaml")))
    if "head" in each
}  # fmt: skip
NAMES = WITH_HEAD | {each.name for each in (*PEERS, *SEARCHERS)}
LIMITS = Limits(rounds=3, act_seconds=1, visit_seconds=0.0005, longest_seconds=30)
ACTS = ("step_ms", "adam_ms", "sgd_ms", "decode_1_ms", "decode_256_ms", "rank_256_ms")


def configured(experiment: str, *overrides: str, hydra: bool = False) -> DictConfig:
    return compose("config", [f"+experiment={experiment}", *overrides], return_hydra_config=hydra)


@pytest.fixture(scope="module", autouse=True)
def small_matrix():
    """The machine's peak by a small product."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(timing.MATRIX, "cpu", 256)
        yield


@pytest.fixture(scope="module")
def tree():
    """Hydra, as it is within a job."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def scene() -> SyntheticInputs:
    return make_inputs(size=V, positions=N, hidden_size=H, target_size=D, device="cpu", precision="fp32", seed=0)


@pytest.fixture(scope="module")
def ledger(tree, tmp_path_factory) -> HeadLedger:
    """All but what is compiled, which takes long."""
    names = ",".join(f"'{name}'" for name in sorted(NAMES - {COMPILED}))
    cfg = configured(
        "cost_sweep", *SMALL, f"results_dir={tmp_path_factory.mktemp('cost')}", f"cost.contenders=[{names}]"
    )
    measured = HeadSweep().run(cfg)
    path = HeadSweep().record_stem(OmegaConf.to_container(cfg, resolve=True))
    assert HeadLedger.read(path.with_name(f"{path.name}.json")) == measured
    return measured


def built(name: str, scene: SyntheticInputs) -> Operations:
    """A contender, by its name."""
    everyone = [*map(head_alone, systems()), *PEERS, *SEARCHERS]
    return next(each for each in everyone if each.name == name).build(scene)


def test_every_system_that_has_a_head_and_every_peer_is_there(ledger):
    assert {row.contender for row in ledger.rows} == NAMES - {COMPILED}
    missing = {row.contender: row.reason for row in ledger.rows if row.status != "ok"}
    assert set(missing) == {"peer:liger fused linear cross-entropy", "peer:cut cross-entropy"}
    assert set(missing.values()) == {"its kernels need a GPU; device=cuda"}


def test_what_is_measured_is_a_span_or_nothing(ledger):
    for row in ledger.rows:
        spans = [getattr(row, act) for act in ACTS]
        assert all(found is None or 0 < found[0] <= found[1] <= found[2] for found in spans)
        if row.contender in WITH_HEAD:
            assert None not in spans
        trained = row.contender in WITH_HEAD or (row.step_ms is not None)
        figures = (row.peak_mib, row.adam_mib, row.flops_per_position, row.peak_share)
        assert all((figure is not None and figure > 0) == trained for figure in figures) or row.adam_mib == 0
    assert len(ledger.peak_gflops) == 3 and ledger.status == "ok" and ledger.reason is None


def test_the_figures_of_a_softmax_are_those_of_arithmetic(ledger):
    for name in ("softmax", "peer:linear + cross_entropy"):
        [row] = [row for row in ledger.rows if row.contender == name]
        assert row.parameters == V * (H + 1)
        assert row.weights_mib == row.parameters * 4 / 2**20
        assert row.adam_mib == pytest.approx(2 * row.weights_mib, rel=0.01)
        assert row.flops_per_position == 3 * 2 * H * V
        achieved = row.flops_per_position * N / row.step_ms[1] / 1e6
        assert row.peak_share == pytest.approx(achieved / ledger.peak_gflops[1], rel=1e-3)


def test_regressors_and_softmaxes_have_indexes_and_a_sampled_softmax_the_softmaxs(ledger):
    found = {row.contender: row.approximate for row in ledger.rows if row.approximate is not None}
    assert set(found) == {"softmax", "sampled_softmax", "nce", "mse", "cosine", "vmf", "infonce"}
    assert found["softmax"] == found["sampled_softmax"] == found["nce"]
    assert {row.contender for row in ledger.rows if row.reads_targets} == {"mse", "cosine", "vmf", "infonce"}
    for rows in found.values():
        assert [row["index"] for row in rows] == ["hnsw", "ivf"]
        assert all(row["recall_at_10"] > 0.9 and row["build_s"] > 0 for row in rows)


@pytest.mark.parametrize("name", ["softmax", "linear + cross_entropy", *CHUNKINGS])
def test_exact_peers_have_the_loss_and_the_gradients_of_a_plain_softmax(tree, scene, name):
    acts = built(name if name == "softmax" else f"peer:{name}", scene)
    weight, bias = acts.module.parameters()
    exact = [each.detach().clone().requires_grad_() for each in (scene.hidden, scene.weight, scene.bias)]
    expected = F.cross_entropy(F.linear(*exact), scene.words)
    expected.backward()
    hidden = scene.hidden.detach().clone().requires_grad_()
    loss = acts.loss(hidden, scene.words)
    loss.backward()
    assert_close(loss, expected)
    assert_close([hidden.grad, weight.grad, bias.grad], [each.grad for each in exact], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # inductor's own
def test_what_is_compiled_is_the_same_loss(tree, scene):
    acts, plain = built(COMPILED, scene), built("peer:linear + cross_entropy", scene)
    assert_close(acts.loss(scene.hidden, scene.words), plain.loss(scene.hidden, scene.words))


def test_adaptive_softmax_and_its_peer_are_the_same_on_the_same_weights(tree, scene):
    head, peer = built("adaptive_softmax", scene), built("peer:AdaptiveLogSoftmaxWithLoss", scene)
    peer.module.load_state_dict(head.module.clusters.state_dict())
    assert_close(head.loss(scene.hidden, scene.words), peer.loss(scene.hidden, scene.words))
    hidden, _ = scene.queries(20)
    assert torch.equal(head.decode(hidden, 10), peer.decode(hidden, 10))


def test_sampled_peers_differ_in_the_form_of_their_gradient_alone(scene):
    gradients = []
    for name in ("dense gradient", "Embedding(sparse=True)"):
        acts = built_peer(f"peer:sampled softmax, {name}", scene)
        torch.manual_seed(0)
        acts.loss(scene.hidden, scene.words).backward()
        rows, offsets = acts.module
        gradients.append([rows.weight.grad, offsets.weight.grad])
        assert acts.flops_per_position is None  # counted
    (dense, _), (sparse, _) = gradients
    assert sparse.is_sparse and not dense.is_sparse
    assert_close([each.to_dense() for each in gradients[1]], gradients[0])


def built_peer(name: str, scene: SyntheticInputs) -> Operations:
    return next(each for each in (*PEERS, *SEARCHERS) if each.name == name).build(scene)


@pytest.mark.parametrize("many", [0, 10**9])
def test_all_that_decode_a_softmax_give_the_same_words_and_ranks(tree, scene, many, monkeypatch):
    monkeypatch.setattr(decoding, "MANY", many)
    hidden, words = scene.queries(50)
    with torch.no_grad():
        scores = hidden @ scene.weight.T + scene.bias
        expected = scores.topk(10).indices
        ranks = 1 + (scores > scores.gather(1, words[:, None])).sum(1)
        for name in ("softmax", "sampled_softmax", "peer:matmul + topk", "peer:faiss flat"):
            acts = built(name, scene)
            assert torch.equal(acts.decode(hidden, 10), expected), name
            found = acts.rank(hidden, words) if acts.rank else ranks
            known = words != scene.vocabulary.unk  # which heads rank after all others
            gap = (found - ranks)[known & (words > 0)]
            assert ((gap == 0) | (gap == -1)).all()  # where it is no answer, it stands before nobody


@pytest.mark.parametrize("many", [0, 10**9])
def test_all_that_decode_targets_give_the_same_words(tree, scene, many, monkeypatch):
    monkeypatch.setattr(decoding, "MANY", many)
    hidden, _ = scene.queries(50)
    # as the scene leaves a regressor: its projection is the identity, and its bias the mean target
    shares = torch.from_numpy(scene.vocabulary.counts / scene.vocabulary.counts.sum()).float()
    predicted = F.pad(hidden, (0, D - H)) + shares @ scene.targets.table
    nearest = torch.cdist(predicted, scene.targets.table).topk(10, largest=False).indices
    for name in ("mse", "cosine"):
        assert torch.equal(built(name, scene).decode(hidden, 10), nearest), name
    unbiased = (F.pad(hidden, (0, D - H)) @ scene.targets.table.T).topk(10).indices
    for name in ("matmul + topk", "faiss flat", "sklearn.neighbors"):
        assert torch.equal(built_peer(f"peer:{name}, targets", scene).decode(hidden, 10), unbiased), name


def test_the_nearest_of_the_widened_rows_has_the_largest_product():
    torch.manual_seed(0)
    queries, rows, offsets = torch.randn(20, 5), torch.randn(40, 5), torch.randn(40)
    wide, asked = map(torch.from_numpy, as_distances(queries, rows, offsets))
    best = (queries @ rows.T + offsets).topk(10).indices
    assert torch.equal(torch.cdist(asked, wide).topk(10, largest=False).indices, best)


def test_an_index_that_takes_too_long_says_how_far_it_came(scene):
    rows = torch.randn(3000, 8)
    found = approximate((lambda hidden: hidden, rows, None), torch.randn(4, 8), seconds=0.0)
    assert set(found[0]) == {"index", "reason"} and found[0]["index"] == "hnsw"
    assert re.fullmatch(
        r"1,024 of 3,000 rows after [\d.e-]+ s, too slow to end within 0 s; cost.index_seconds allows more",
        found[0]["reason"],
    )


def test_words_are_as_zipf_has_them_up_to_one(scene):
    big = make_inputs(size=5000, positions=1000, hidden_size=4, target_size=4, device="cpu", precision="fp32", seed=1)
    shares = big.vocabulary.counts / big.vocabulary.counts.sum()
    assert np.all(np.diff(big.vocabulary.counts) <= 0) and shares[0] == pytest.approx(2 * shares[1], rel=1e-3)
    for low, high in ((0, 10), (10, 1000), (1000, 5000)):
        expected = 1000 * shares[low:high].sum()
        assert abs(((big.words >= low) & (big.words < high)).sum().item() - expected) <= 2


def pretender(name: str, calls: list[str], *, loss=None, decode=None) -> Contender:
    """One weight, and what it is told to do."""

    def build(scene: SyntheticInputs) -> Operations:
        calls.append(name)
        linear = nn.Linear(H, 1)
        return Operations(module=linear, loss=loss or (lambda hidden, _: linear(hidden).mean()), decode=decode)

    return Contender(name=name, build=build)


def test_rounds_are_interleaved(scene):
    calls: list[str] = []
    notes, peaks = measure([pretender(name, calls) for name in "abc"], scene, LIMITS, lambda *_: None)
    assert calls == [*"abc"] * 3
    assert {len(note.taken["step"]) for note in notes} == {3} == {len(peaks)}


def test_what_is_slow_has_fewer_visits_but_two_and_one_where_it_is_very_slow():
    limits, note = (
        Limits(rounds=9, act_seconds=2, visit_seconds=0.1, longest_seconds=1),
        Measurement(pretender("a", [])),
    )
    assert [note.visits(ms, limits) for ms in (1, 400, 1400, 1600)] == [9, 5, 2, 1]
    assert [note.seconds(ms, limits) for ms in (1, 1400, 1600)] == pytest.approx([0.1, 0.45, 0.9])
    note.build_ms = 400
    assert note.visits(1, limits) == 5
    note.build_ms = 4000
    assert note.visits(1, limits) == 2


def proportional(loss) -> Contender:
    """One whose time goes with V."""
    linear = nn.Linear(H, 1)

    def build(_: SyntheticInputs) -> Operations:
        return Operations(module=linear, loss=lambda hidden, _: loss(linear(hidden).mean()), proportional=True)

    return Contender(name="proportional", build=build)


def stood(**figures) -> dict[str, Row]:
    """Its row at a tenth of the V."""
    return {"proportional": Row(contender="proportional", part="head", vocabulary_size=V // 10, **figures)}


def test_what_would_be_cut_off_by_what_it_took_at_a_smaller_v_is_not_tried(scene):
    def step(loss):
        raise AssertionError("tried")

    for row, why in (
        (stood(step_ms=[1600.0] * 3), "at V = 30 it took 1.6 s"),
        (stood(status="slow", reason="step: more than 9 s"), "at V = 30 it was cut off already"),
    ):
        [note] = measure([proportional(step)], scene, LIMITS, lambda *_: None, row)[0]
        assert note.status == "slow"
        assert note.reason == f"step: not tried, as {why}; cost.longest_seconds allows more"


def test_what_could_be_in_time_is_tried(scene):
    smaller = [stood(step_ms=[1400.0] * 3), stood(status="slow", reason="rank_256: more", step_ms=[1.0] * 3), {}]
    for row in smaller:
        [note] = measure([proportional(lambda loss: loss)], scene, LIMITS, lambda *_: None, row)[0]
        assert (note.status, len(note.taken["step"])) == ("ok", 3)


def test_the_figure_of_a_slow_step_is_not_its_first(scene):
    """Which counts FLOPs and memory too."""
    calls = []

    def step(loss):
        calls.append(time.sleep(0.1 if not calls else 0.001))
        return loss

    limits = Limits(rounds=1, act_seconds=1, visit_seconds=0, longest_seconds=30)
    [note] = measure([proportional(step)], scene, limits, lambda *_: None)[0]
    assert len(calls) == 2 and note.taken["step"][0] < 100


def smaller(config: dict) -> dict[str, Row]:
    ledgers = earlier_rows.comparable_ledgers(config, HeadSweep().record_stem(config).parent)
    return earlier_rows.smaller_rows(config, ledgers)


def test_a_job_finds_the_nearest_smaller_one_of_the_same_sweep(tree, tmp_path):
    def at(size: int, *more: str) -> DictConfig:
        return configured("cost_sweep", f"vocabulary.size={size}", f"results_dir={tmp_path}", *more)

    def stand(size: int, *more: str) -> None:
        config = OmegaConf.to_container(at(size, *more), resolve=True)
        rows = [Row(contender="softmax", part="head", vocabulary_size=size)]
        HeadLedger(**earlier_rows.header(config), peak_gflops=[], rows=rows).write(HeadSweep().record_stem(config))

    config = OmegaConf.to_container(at(300, "cost.rounds=2", "cost.contenders=[softmax]"), resolve=True)
    assert smaller(config) == {}
    for size in (100, 200, 400):
        stand(size)
    stand(250, "cost.hidden_size=32"), stand(260, "seed=1")
    assert smaller(config)["softmax"].vocabulary_size == 200


def test_one_that_was_less_patient_is_no_reason_not_to_try(tree, tmp_path):
    def at(size: int, seconds: int) -> dict:
        more = [f"vocabulary.size={size}", f"results_dir={tmp_path}", f"cost.longest_seconds={seconds}"]
        return OmegaConf.to_container(configured("cost_sweep", *more), resolve=True)

    config = at(100, 10)
    rows = [Row(contender="softmax", part="head", vocabulary_size=100, status="slow", reason="step: more than 10 s")]
    HeadLedger(**earlier_rows.header(config), peak_gflops=[], rows=rows).write(HeadSweep().record_stem(config))
    assert set(smaller(at(200, 10))) == {"softmax"}
    assert smaller(at(200, 20)) == {}


def test_an_act_without_memory_is_a_row_and_the_others_go_on(scene):
    def exhausted(*_):
        raise torch.OutOfMemoryError("can't allocate memory: you tried to allocate 99 bytes")

    calls: list[str] = []
    some = [
        pretender("hungry", calls, loss=exhausted, decode=lambda hidden, count: hidden.topk(count)),
        pretender("modest", calls),
    ]
    hungry, modest = measure(some, scene, LIMITS, lambda *_: None)[0]
    assert (hungry.status, modest.status) == ("oom", "ok")
    assert hungry.reason.startswith("step: OutOfMemoryError: can't allocate memory")
    assert set(hungry.taken) == {"decode_1", "decode_256"} and set(modest.taken) == {"step", "adam", "sgd"}


def test_a_first_call_that_is_too_long_is_left_out_and_says_so(scene):
    def endless(*_):
        time.sleep(20)

    begin = time.perf_counter()
    limits = Limits(rounds=2, act_seconds=1, visit_seconds=0, longest_seconds=0.2)
    [note] = measure([pretender("slow", [], loss=endless)], scene, limits, lambda *_: None)[0]
    assert time.perf_counter() - begin < 10
    assert (note.status, note.reason) == ("slow", "step: more than 0.2 s; cost.longest_seconds allows more")


def test_what_is_not_installed_says_the_remedy(scene):
    def build(_: SyntheticInputs) -> Operations:
        raise Missing("pip install it")

    [note] = measure([Contender(name="absent", build=build)], scene, LIMITS, lambda *_: None)[0]
    assert (note.status, note.reason, note.taken) == ("missing", "pip install it", {})


def test_no_head_draws_its_rows_at_random(scene, tree, monkeypatch):
    """At a million words that would take longer than a step."""

    def refuse(rows: torch.Tensor, *_, **__):
        assert rows.shape != scene.weight.shape
        return rows

    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    for each in systems():
        head_alone(each).build(scene)


def test_a_visit_leaves_no_gradient_behind(scene):
    interleave.visit(Measurement(pretender("a", [])), scene, LIMITS)
    assert scene.hidden.grad is None


def test_a_whole_model_costs_its_head_and_its_trunk(tree, scene, tmp_path):
    cfg = configured("cost_sweep_model", *SMALL, "cost.rounds=1", f"results_dir={tmp_path}")
    measured = HeadSweep().run(cfg)
    assert {row.contender for row in measured.rows} == WITH_HEAD and measured.status == "ok"
    [softmax] = [row for row in measured.rows if row.contender == "softmax"]
    assert softmax.part == "model" and softmax.decode_256_ms is not None
    assert softmax.flops_per_position == 3 * 2 * (H * V + 2 * 4 * H**2)  # an LSTM of one layer
    assert softmax.parameters == V * (H + 1) + (V + 1) * H + 4 * H * (2 * H + 2)
    assert softmax.adam_mib == pytest.approx(2 * softmax.parameters * 4 / 2**20, rel=0.02)  # of head and trunk


def test_positions_that_make_no_streams_fail_in_one_line(tree):
    odd = make_inputs(size=V, positions=30, hidden_size=H, target_size=D, device="cpu", precision="fp32", seed=0)
    cfg = configured("cost_sweep_model", *SMALL)
    contender = whole_model(next(iter(systems())), cfg.backbone, streams=16)
    with pytest.raises(SettingError, match=r"cost\.positions: 30 is no multiple"):
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
def test_a_setting_that_cannot_work_is_one_line(tree, override, line):
    cfg = configured("cost_sweep", *SMALL, override)
    with pytest.raises(SettingError, match=line):
        check_config(OmegaConf.to_container(cfg, resolve=True))
        HeadSweep().run(cfg)


@pytest.mark.parametrize(("experiment", "part"), [("cost_sweep", "head"), ("cost_sweep_model", "model")])
def test_a_sweep_is_a_job_a_size_each_with_a_file_of_its_own(tree, experiment, part):
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
def test_the_command_measures_skips_what_stands_and_reports(tmp_path):
    command = ["+experiment=cost_sweep", *SMALL[1:], "vocabulary.size=300,400", "cost.contenders=[softmax,mse]"]
    first = bench(tmp_path, *command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 of 2 contenders measured" in first.stderr and "Warning" not in first.stderr
    files = sorted((tmp_path / "results" / "cost_sweep").glob("*.json"))
    assert [HeadLedger.read(file).vocabulary_size for file in files] == [300, 400]
    again = bench(tmp_path, *command)
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
    assert kept["softmax"].measured_at is None and len(kept["softmax"].identity) == 8
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
