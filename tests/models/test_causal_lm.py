"""The transformer over word pieces: what it learns, what it costs, how it writes, and what it refuses."""

import math

import pytest
import torch
from factories.models import CORPUS, SHAPE, sharpened, tiny_model
from torch.testing import assert_close
from transformers import LlamaForCausalLM

import bench.core.hub
from bench.core.errors import SettingError
from bench.data.subwords import PieceBatch
from bench.models.causal_lm import SubwordModel


def test_the_loss_is_the_mean_cross_entropy_a_piece():
    model = tiny_model()
    batch = model.datamodule(seed=0).batches.batch(0)
    total = 0.0
    for row in batch.pieces:
        for step in range(SHAPE["context"]):
            logits = model.lm(row[None, : step + 1]).logits[0, -1]
            total -= logits.log_softmax(-1)[row[step + 1]].item()
    expected = total / (4 * SHAPE["context"])
    assert_close(model.training_step(batch, 0).item(), expected, rtol=1e-5, atol=0)


def test_from_scratch_it_begins_at_the_training_frequencies():
    model = tiny_model(width=64)
    counts = torch.from_numpy(model.pieces.encode_text(CORPUS.train)).bincount(minlength=290).double()
    share = counts / counts.sum()
    entropy = float(torch.special.entr(share).sum())
    loss = model.training_step(model.datamodule(seed=0).batches.batch(0), 0).item()
    assert loss < entropy + 0.3 < math.log(290)


@pytest.fixture(scope="module")
def trained():
    """A model after 60 steps, and the losses on the way."""
    model = tiny_model(context=96)
    optimizer, batches, losses = model.configure_optimizers(), model.datamodule(seed=0).batches, []
    for step in range(60):
        loss = model.training_step(batches.batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def test_training_learns(trained):
    losses = trained[1]
    assert sum(losses[-10:]) < sum(losses[:10]) - 10 * 0.3


def test_only_matrices_decay():
    decayed, free = tiny_model().configure_optimizers().param_groups
    assert {each.dim() for each in decayed["params"]} == {2} and decayed["weight_decay"] == 0.1
    assert {each.dim() for each in free["params"]} == {1} and free["weight_decay"] == 0.0


@pytest.mark.parametrize("shape", [{}, {"layers": 3, "width": 48, "context": 40, "attention_heads": 4}])
def test_flops_a_word_agree_with_the_formula(shape):
    model = tiny_model(**shape)
    shape = SHAPE | shape
    multiplied = sum(each.numel() for name, each in model.lm.named_parameters() if each.dim() > 1 and "wpe" not in name)
    attention = 12 * shape["layers"] * shape["width"] * shape["context"]
    batch = model.datamodule(seed=0).batches.batch(0)
    expected = (6 * multiplied + attention) * 4 * shape["context"] / batch.trained_words
    state = torch.get_rng_state()
    assert_close(model.flops_per_position(batch), expected, rtol=0.01, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


def plainly(model: SubwordModel, prompt: list[str], count: int) -> list[str]:
    """Greedy writing that reads everything anew for each piece."""
    line = [
        model.pieces.boundary,
        *model.pieces.tokenizer.encode(" " + " ".join(prompt), add_special_tokens=False),
    ]
    start, begins = len(line), set(model.pieces.begins.nonzero()[0])
    while sum(piece in begins for piece in line[start:]) <= count:
        scores = model.lm(torch.tensor([line])).logits[0, -1]
        allowed = begins if len(line) == start else set(range(len(scores))) - {model.pieces.boundary}
        line.append(max(allowed, key=scores.tolist().__getitem__))
    return model.pieces.decode(line[start:-1])


@torch.inference_mode()
def test_greedy_writing_takes_the_likeliest_piece(trained):
    model, prompt = trained[0], CORPUS.words_of(CORPUS.test.words[:5])
    written = model.generate(prompt, 10, greedy=True)
    assert len(written) == 10 and written == plainly(model, prompt, 10)


def test_drawn_writing_follows_its_seed_and_goes_beyond_the_context():
    model = sharpened(tiny_model())
    first, again, other = (model.generate(["kato"] * 20, 30, greedy=False, seed=seed) for seed in (1, 1, 2))
    assert first == again != other and len(first) == 30
    assert model.training


def test_dropout_is_on_in_training_and_off_in_reading():
    model = tiny_model(dropout=0.5)
    batch = model.datamodule(seed=0).batches.batch(0)
    assert model.training_step(batch, 0) != model.training_step(batch, 0)
    with model.evaluating():
        assert model.training_step(batch, 0) == model.training_step(batch, 0)
    assert model.lm.training


def test_a_local_model_is_fine_tuned(llama_folder):
    model = tiny_model(pretrained=str(llama_folder))
    assert (tiny_model().name, model.name) == ("gpt2-scratch", "gpt2")
    rows = torch.arange(40).view(4, 10)
    assert_close(model.lm(rows).logits, LlamaForCausalLM.from_pretrained(llama_folder)(rows).logits)
    assert model.lm.training and model.training_step(model.datamodule(seed=0).batches.batch(0), 0).requires_grad
    assert model.weights_sha256 == tiny_model(pretrained=str(llama_folder)).weights_sha256
    assert tiny_model().weights_sha256 is None


def test_a_context_beyond_the_models_positions_is_refused(llama_folder):
    with pytest.raises(SettingError, match=r"^system\.model\.context: 33 is not between 8 and 32"):
        tiny_model(pretrained=str(llama_folder), context=33)
    with pytest.raises(SettingError, match=r"^system\.model\.context: 7 "):
        tiny_model(context=7)


def test_heads_must_divide_the_width():
    with pytest.raises(SettingError, match=r"^system\.model\.width: 16 "):
        tiny_model(attention_heads=3)


def test_a_model_that_is_not_there_is_one_line_with_the_way_out(tmp_path, monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(bench.core.hub.HfApi, "repo_info", unreachable)
    for name in (str(tmp_path), str(tmp_path / "none"), "nobody/nothing-of-the-kind"):
        with pytest.raises(SettingError) as raised:
            tiny_model(pretrained=name)
        line = str(raised.value)
        assert line.startswith(f"system.pretrained: cannot read {name} (") and "\n" not in line
        assert "make pretrained" in line and "models/smollm2-135m" in line and "null" in line


def test_a_pickle_is_not_read(llama_folder, tmp_path):
    for file in llama_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(LlamaForCausalLM.from_pretrained(llama_folder).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(SettingError, match="cannot read"):
        tiny_model(pretrained=str(tmp_path))


def test_a_batch_passes_through_lightning_whole():
    model = tiny_model()
    batch = next(iter(model.datamodule(seed=3).train_dataloader()))
    moved = model.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert isinstance(moved, PieceBatch) and moved.trained_words == batch.trained_words
    assert torch.equal(moved.pieces, model.datamodule(seed=3).batches.batch(0).pieces)
