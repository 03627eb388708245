"""Commands of a user on a small text: sweep, resume, fail, report, generate, verify."""

import json
import re
import subprocess

import numpy as np
import pytest
from factories.commands import settings

from bench.core.record import POSITIONS, read_records


@pytest.fixture(scope="module")
def sweep(place, forked) -> subprocess.CompletedProcess:
    """One sweep over three kinds of system."""
    return forked(place, *settings("softmax", "mse", "unigram"), "corpus.path=text.txt", "logger=csv")


def test_sweep_writes_a_record_and_positions_per_cell_and_a_report(place, sweep):
    assert sweep.returncode == 0, sweep.stdout + sweep.stderr
    assert "GPU available" not in sweep.stdout + sweep.stderr  # printed by Lightning per cell
    folder = place / "results" / "smoke"
    records = {record.system: (path, record) for path, record in read_records([folder])}
    assert set(records) == {"softmax", "mse", "unigram"}
    for path, record in records.values():
        assert record.status == "ok" and record.corpus == "text" and record.vocabulary_size == 300
        positions = np.load(path.with_suffix(".npz"))
        assert set(positions) == set(POSITIONS)
        assert {len(values) for values in positions.values()} == {record.test_words}
        bits = positions["nats"].astype(np.float64).sum() / np.log(2) / record.test_bytes
        assert bits == pytest.approx(record.bits_per_byte, rel=1e-6)
        hits = np.mean(positions["rank"] <= 1)
        assert hits == pytest.approx(record.accuracy_at_1, abs=1e-9)
        assert record.generations[0]["greedy"]
    trained = records["softmax"][1]
    assert trained.trained_words >= 4000 and trained.curve[-1]["words"] == trained.trained_words
    for name in (
        "train_ms_per_1k",
        "head_train_ms_per_1k",
        "decode_ms_1",
        "decode_ms_256",
        "peak_mib",
        "flops_per_position",
    ):
        assert getattr(trained, name) > 0
    assert records["unigram"][1].train_seconds is None
    assert (folder / "leaderboard.md").is_file() and "softmax" in (folder / "index.html").read_text()


def test_table_of_a_vocabulary_size_is_printed_after_its_last_cell_and_again_at_the_end(place, forked):
    arguments = [*settings("unigram", "ngram"), "corpus.path=text.txt", "logger=none", "results_dir=two_sizes"]
    arguments = [each for each in arguments if not each.startswith("vocabulary.size")] + ["vocabulary.size=200,300"]
    first, again = forked(place, *arguments), forked(place, *arguments)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert [run.stdout.count("text, V = 200") for run in (first, again)] == [2, 1]
    assert [run.stdout.count("text, V = 300") for run in (first, again)] == [1, 1]
    assert re.findall(r"\[(\d)/4\] .*; about \d+:\d\d left", first.stderr) == ["1", "2", "3"]
    assert "left" not in again.stderr


def test_repeated_sweep_skips_finished_cells(place, sweep, forked):
    before = {path: path.stat().st_mtime_ns for path in (place / "results" / "smoke").glob("*.json")}
    again = forked(place, *settings("softmax", "mse", "unigram"), "corpus.path=text.txt", "logger=csv")
    assert again.returncode == 0
    assert again.stderr.count("force=true") == 3 and " left" not in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (place / "results" / "smoke").glob("*.json")}


def test_generate_continues_a_prompt_with_kept_weights(place, sweep, forked):
    [record] = (place / "results" / "smoke").glob("softmax-*.json")
    first = forked(place, str(record), "--prompt", "the king", "--words", "3", module="bench.generate")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("the king | ") and len(first.stdout.split("|")[1].split()) == 3
    again = forked(place, str(record), "--prompt", "the king", "--words", "3", module="bench.generate")
    assert again.stdout == first.stdout


def test_verify_repeats_the_figures_from_the_record_alone(place, sweep, forked, tmp_path):
    [path] = (place / "results" / "smoke").glob("mse-*.json")
    again = forked(place, str(path), module="bench.verify")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "all figures agree"), again.stdout + again.stderr
    fields = json.loads(path.read_text())
    changed = tmp_path / path.name
    changed.write_text(json.dumps(fields | {"bits_per_byte": fields["bits_per_byte"] * 1.001, "train_seconds": 1e9}))
    other = forked(place, str(changed), module="bench.verify")
    assert other.returncode == 1 and other.stdout.splitlines()[0].startswith("bits_per_byte: ")
    assert other.stdout.splitlines()[-1] == "1 of the figures differ"
    assert forked(place, str(changed), "--tolerance", "0.01", module="bench.verify").returncode == 0


def test_verify_of_several_records_prints_a_line_for_each_and_runs_all(place, sweep, forked, tmp_path):
    [path] = (place / "results" / "smoke").glob("mse-*.json")
    fields = json.loads(path.read_text())
    missing, changed = tmp_path / "missing.json", tmp_path / "changed.json"
    missing.write_text(json.dumps(fields | {"config": fields["config"] | {"vocabulary": {"size": 10**6}}}))
    changed.write_text(json.dumps(fields | {"bits_per_byte": 2.5}))
    run = forked(place, str(missing), str(changed), str(path), module="bench.verify")
    assert run.returncode == 2 and run.stdout.splitlines() == [
        f"changed: 1 of the figures differ, bits per byte 2.5 and now {fields['bits_per_byte']}",
        f"{path.stem}: all figures agree",
    ]
    assert "vocabulary.size" in run.stderr
    nothing = forked(place, str(path), str(tmp_path / "none.json"), module="bench.verify")
    assert nothing.returncode == 2 and nothing.stdout == ""  # refused before a cell is run


@pytest.mark.parametrize("change", [{"status": "failed"}, {"budget": {"words": None, "seconds": 1.0}}, None])
def test_verify_refuses_a_cell_that_cannot_be_repeated_in_one_line(place, sweep, forked, tmp_path, change):
    [path] = (place / "results" / "smoke").glob("mse-*.json")
    fields, changed = json.loads(path.read_text()), tmp_path / "record.json"
    if change is not None:
        fields["status"] = change.get("status", "ok")
        fields["config"] |= {key: value for key, value in change.items() if key == "budget"}
        changed.write_text(json.dumps(fields))
    run = forked(place, str(changed), module="bench.verify")
    assert run.returncode == 2 and run.stderr.startswith("RECORD: ") and len(run.stderr.splitlines()) == 1


def test_sweep_continues_after_a_cell_with_bad_settings(place, forked):
    arguments = [each for each in settings("sampled_softmax") if "samples" not in each]
    run = forked(
        place,
        *arguments,
        "system.head.samples=32,5000",
        "corpus.path=text.txt",
        "logger=none",
        "results_dir=other",
    )
    assert run.returncode == 1
    assert "1 of 2 cells failed" in run.stderr
    statuses = sorted(json.loads(path.read_text())["status"] for path in (place / "other" / "smoke").glob("*.json"))
    assert statuses == ["failed", "ok"]
    [failed] = [record for _, record in read_records([place / "other" / "smoke"]) if record.status == "failed"]
    assert failed.reason.startswith("system.head.samples: 5000")


def test_sweep_continues_after_exhausted_memory_and_divergence_and_lists_both(place, forked):
    points = ["backbone.trunk.hidden_size=32,8192", "optimizer.lr=100,0.01", "optimizer.weight_decay=100"]
    small = [each for each in settings("softmax") if not each.startswith("backbone")]
    run = forked(place, *small, *points, "corpus.path=text.txt", "logger=none", "results_dir=failing", gib=3)
    assert run.returncode == 1
    *_, first, second, third, last = run.stderr.strip().splitlines()
    assert last.startswith("3 of 4 cells failed (2 oom, 1 diverged)")
    for line in (first, second, third):
        assert ": oom: " in line or ": diverged: " in line
        assert (place / re.search(r"\(trace: (.*)\)", line)[1]).is_file()
    records = [record for _, record in read_records([place / "failing" / "smoke"])]
    assert sorted(record.status for record in records) == ["diverged", "ok", "oom", "oom"]
    assert (place / "failing" / "smoke" / "index.html").read_text().count("× seed 0 oom") >= 1


BAD = {
    "system": ["system=sofmax"],
    "vocabulary.size": ["vocabulary.size=999999"],
    "corpus.path": ["corpus=text", "corpus.path=nowhere.txt"],
    "budget.words": ["budget.words=-1"],
    "system.head.samples": ["system=sampled_softmax", "system.head.samples=5000"],
    "targets.encoder": ["system=cosine", "targets.encoder=./empty"],
    "system.pretrained": ["system=gpt2", "system.pretrained=./empty"],
    "system.model.path": ["system=predictions"],
}


@pytest.mark.parametrize("setting", BAD)
def test_bad_input_gives_one_line_and_writes_nothing(place, forked, setting, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text((place / "text.txt").read_text())
    text = [] if any("corpus" in each for each in BAD[setting]) else ["corpus=text", "corpus.path=text.txt"]
    if setting != "vocabulary.size":
        text.append("vocabulary.size=300")
    run = forked(tmp_path, *text, *BAD[setting], "logger=none")
    assert run.returncode == 2
    *texts, line = run.stderr.strip().splitlines()
    assert line.startswith(f"{setting}: ")
    assert len(texts) <= 1 and all(each.startswith("corpus text: train ") for each in texts)  # size of the splits
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.glob("results/*"))  # of Hydra's log neither


THEIR_PACKAGE = '''
import torch
from bench.heads import Head

class ConstantHead(Head):
    """Ranks the words in one order at every position."""
    def __init__(self, *, hidden_size, vocabulary):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.logits = torch.nn.Parameter(torch.zeros(len(vocabulary)))
    def loss(self, hidden, words):
        return torch.nn.functional.cross_entropy(self.scores(hidden), words)
    def scores(self, hidden):
        return self.logits + 0 * hidden.sum(1, keepdim=True)
'''


def test_head_of_another_package_runs(place, forked):
    (place / "their_package.py").write_text(THEIR_PACKAGE)
    theirs = ["system.name=constant", "system.head._target_=their_package.ConstantHead"]
    small = [each for each in settings("softmax") if not each.startswith("+experiment")]
    run = forked(place, *small, *theirs, "corpus.path=text.txt", "logger=none", "evaluation.test_words=1000")
    assert run.returncode == 0, run.stdout + run.stderr
    [(_, record)] = [each for each in read_records([place / "results" / "single"]) if each[1].system == "constant"]
    assert record.head == "ConstantHead" and record.accuracy_at_10 > 0
