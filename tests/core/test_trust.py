"""Folders, files and records of somebody else are read, never run: a marker file would tell."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from factories.encoder import tiny_encoder
from factories.models import tiny_corpus as piece_corpus
from transformers import GPT2Config, GPT2LMHeadModel

from bench.core.errors import SettingError
from bench.core.trust import check_targets
from bench.data.sources.wikitext import wikitext
from bench.data.subwords import learn
from bench.models.causal_lm_builders import load_causal_lm

CODE = "from pathlib import Path\nPath({marker!r}).touch()\nclass Model: pass\nclass Tokenizer: pass\n"


class Payload:
    """Unpickled, it touches the marker."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path(self.marker).touch, ())


@pytest.fixture
def marker(tmp_path):
    """Whatever the test does, this file must not come to be."""
    path = tmp_path / "run"
    yield path
    assert not path.exists()


def plant(place: Path, marker: Path) -> None:
    """Code and pickles, wherever a loader might look for them."""
    for name in ("pytorch_model.bin", "model.bin", "adapter_model.bin", "training_args.bin"):
        torch.save(Payload(marker), place / name)
    for name in ("vocab.pkl", "tokenizer.pkl", "scaler.pt", "model.ckpt"):
        (place / name).write_bytes(pickle.dumps(Payload(marker)))
    for name in ("modeling.py", "tokenization.py", "configuration.py", "__init__.py"):
        (place / name).write_text(CODE.format(marker=str(marker)))
    autos = {
        "AutoConfig": "configuration.Model",
        "AutoModel": "modeling.Model",
        "AutoModelForCausalLM": "modeling.Model",
    }
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"auto_map": autos}))
    settings = json.loads((place / "tokenizer_config.json").read_text())
    mapped = {"auto_map": {"AutoTokenizer": ["tokenization.Tokenizer", "tokenization.Tokenizer"]}}
    (place / "tokenizer_config.json").write_text(json.dumps(settings | mapped))


def test_payload_runs_when_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "run")))
    assert (tmp_path / "run").exists()


@pytest.fixture
def theirs(folder, tmp_path) -> Path:
    """An encoder that somebody else has packed."""
    place = tmp_path / "theirs"
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    return place


def test_encoder_is_read_without_the_code_and_pickles_beside_its_weights(theirs, tmp_path, marker):
    before = tiny_encoder(theirs, tmp_path).vectors(["the", "cat"])
    plant(theirs, marker)
    assert torch.equal(tiny_encoder(theirs, tmp_path).vectors(["the", "cat"]), before)


@pytest.mark.parametrize("kind", ["a_kind_of_its_own", "bert"])
def test_encoder_of_code_or_a_pickle_alone_is_refused(theirs, tmp_path, marker, kind):
    plant(theirs, marker)
    config = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    if kind == "bert":
        (theirs / "model.safetensors").unlink()
    with pytest.raises(SettingError, match=r"^targets.encoder: "):
        tiny_encoder(theirs, tmp_path).vectors(["the"])


@pytest.mark.parametrize("lost", [None, "model.safetensors"])
def test_language_model_is_read_without_code_and_pickles(tmp_path, marker, lost):
    place = tmp_path / "gpt2"
    tokenizer = learn(piece_corpus(), 290)
    tokenizer.save_pretrained(place)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_layer=1, n_embd=8, n_head=1)).save_pretrained(place)
    plant(place, marker)
    if lost is None:
        assert load_causal_lm(str(place))[0].config.n_embd == 8
    else:
        (place / lost).unlink()
        with pytest.raises(SettingError, match=r"^system.pretrained: cannot read"):
            load_causal_lm(str(place))


def test_script_of_a_data_set_is_not_run(tmp_path, marker):
    place = tmp_path / "wikitext"
    place.mkdir()
    (place / "wikitext.py").write_text(CODE.format(marker=str(marker)))
    (place / "train.pkl").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(SettingError, match=r"^corpus: cannot read"):
        wikitext("wikitext-2-raw-v1", str(place))


@pytest.mark.parametrize(
    "target", ["os.system", "builtins.eval", "bench.core.provenance.subprocess.run", "theirs.Head"]
)
def test_foreign_target_of_a_record_is_refused_by_its_name(target):
    config = {"system": {"head": {"_target_": "bench.heads.mse.MSEHead"}}, "trainer": {"_target_": "builtins.dict"}}
    check_targets(config, trusted=[])
    config["system"]["parts"] = [{"deeper": {"_target_": target, "command": "touch /tmp/x"}}]
    with pytest.raises(
        SettingError, match=rf"^RECORD: it would run {target}, which is not part of head-bench; .*--trust {target}"
    ):
        check_targets(config, trusted=[])
    check_targets(config, trusted=[target])


def test_class_that_get_class_returns_is_checked():
    config = {"cell": {"_target_": "hydra.utils.get_class", "path": "torch.nn.LSTM"}}
    check_targets(config, trusted=[])
    with pytest.raises(SettingError, match=r"^RECORD: it would run subprocess.Popen"):
        check_targets({"cell": config["cell"] | {"path": "subprocess.Popen"}}, trusted=[])


def test_no_module_opens_pickles_or_trusts_remote_code():
    root = Path(__file__).parents[2] / "bench"
    for file in root.rglob("*.py"):
        text = file.read_text().replace(".eval(", "")
        for pipe in ("process.stdout", "sys.stdin.buffer"):  # between a process and the processes that it started
            text = text.replace(f"pickle.load({pipe})", "")
        for never in ("allow_pickle=True", "trust_remote_code=True", "weights_only=False, map", "pickle.load", "eval("):
            assert never not in text, f"{file}: {never}"
        assert text.count("torch.load(") == text.count("weights_only=True, map_location"), file
    assert os.sep in str(root)
