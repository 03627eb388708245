"""The transformer over word pieces: training, FLOPs, generation, and the checkpoints that are refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from factories.models import CORPUS, SHAPE, sharpened, tiny_model
from factories.references import plain_generation
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import (
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

from bench.core.errors import SettingError
from bench.data.piece_batches import PieceBatch
from bench.evaluation.subword_generation import generate
from bench.models.causal_lm_builders import load_causal_lm


def test_loss_is_the_mean_cross_entropy_per_piece():
    model = tiny_model()
    batch = model.datamodule(seed=0).batches.batch(0)
    total = 0.0
    for row in batch.pieces:
        for step in range(SHAPE["context"]):
            logits = model.lm(row[None, : step + 1]).logits[0, -1]
            total -= logits.log_softmax(-1)[row[step + 1]].item()
    expected = total / (4 * SHAPE["context"])
    assert_close(model.training_step(batch, 0).item(), expected, rtol=1e-5, atol=0)


def test_gradients_are_those_of_cross_entropy_on_the_logits():
    model = sharpened(tiny_model())
    pieces = model.datamodule(seed=0).batches.batch(0).pieces
    assert model.linear_output
    model.training_step(PieceBatch(pieces, 0), 0).backward()
    found = {name: weight.grad.clone() for name, weight in model.lm.named_parameters()}
    model.zero_grad()
    logits = model.lm(pieces[:, :-1]).logits
    F.cross_entropy(logits.flatten(0, 1), pieces[:, 1:].flatten()).backward()
    for name, weight in model.lm.named_parameters():
        assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_model_from_scratch_starts_at_the_training_frequencies():
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


def test_training_lowers_the_loss(trained):
    losses = trained[1]
    assert sum(losses[-10:]) < sum(losses[:10]) - 10 * 0.3


def test_weight_decay_applies_to_matrices_only():
    decayed, free = tiny_model().configure_optimizers().param_groups
    assert {each.dim() for each in decayed["params"]} == {2} and decayed["weight_decay"] == 0.1
    assert {each.dim() for each in free["params"]} == {1} and free["weight_decay"] == 0.0


@pytest.mark.parametrize("shape", [{}, {"layers": 3, "width": 48, "context": 40, "attention_heads": 4}])
def test_flops_per_word_agree_with_the_formula(shape):
    model = tiny_model(**shape)
    shape = SHAPE | shape
    multiplied = sum(each.numel() for name, each in model.lm.named_parameters() if each.dim() > 1 and "wpe" not in name)
    attention = 12 * shape["layers"] * shape["width"] * shape["context"]
    batch = model.datamodule(seed=0).batches.batch(0)
    expected = (6 * multiplied + attention) * 4 * shape["context"] / batch.trained_words
    state = torch.get_rng_state()
    assert_close(model.flops_per_position(batch), expected, rtol=0.01, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


@torch.inference_mode()
def test_greedy_generation_takes_the_likeliest_piece(trained):
    model, prompt = trained[0], CORPUS.test.words[:5].tolist()
    written = generate(model, prompt, 10, greedy=True)
    assert len(written) == 10 and written == plain_generation(model, CORPUS.words_of(prompt), 10)


def test_drawn_generation_depends_on_its_seed_and_exceeds_the_context():
    model = sharpened(tiny_model())
    first, again, other = (generate(model, [0] * 20, 30, greedy=False, seed=seed) for seed in (1, 1, 2))
    assert first == again != other and len(first) == 30
    assert model.training


def test_dropout_is_on_in_training_and_off_in_evaluation():
    model = tiny_model(dropout=0.5)
    batch = model.datamodule(seed=0).batches.batch(0)
    assert model.training_step(batch, 0) != model.training_step(batch, 0)
    with model.evaluating():
        assert model.training_step(batch, 0) == model.training_step(batch, 0)
    assert model.lm.training


def test_local_model_is_fine_tuned(llama_folder):
    model = tiny_model(pretrained=str(llama_folder))
    assert (tiny_model().name, model.name) == ("gpt2-scratch", "gpt2")
    rows = torch.arange(40).view(4, 10)
    assert_close(model.lm(rows).logits, LlamaForCausalLM.from_pretrained(llama_folder)(rows).logits)
    assert model.lm.training and model.training_step(model.datamodule(seed=0).batches.batch(0), 0).requires_grad
    assert model.weights_sha256 == tiny_model(pretrained=str(llama_folder)).weights_sha256
    assert tiny_model().weights_sha256 is None


def test_context_beyond_the_positions_of_the_model_is_refused(llama_folder):
    with pytest.raises(SettingError, match=r"^system\.model\.context: 33 is not between 8 and 32"):
        tiny_model(pretrained=str(llama_folder), context=33)
    with pytest.raises(SettingError, match=r"^system\.model\.context: 7 "):
        tiny_model(context=7)


def test_width_that_is_no_multiple_of_the_attention_heads_is_refused():
    with pytest.raises(SettingError, match=r"^system\.model\.width: 16 "):
        tiny_model(attention_heads=3)


def test_unreachable_model_is_refused_in_one_line_with_the_remedy(tmp_path, monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", unreachable)
    for name in (str(tmp_path), str(tmp_path / "none"), "nobody/nothing-of-the-kind"):
        with pytest.raises(SettingError) as raised:
            tiny_model(pretrained=name)
        line = str(raised.value)
        assert line.startswith(f"system.pretrained: cannot read {name} (") and "\n" not in line
        assert "make pretrained" in line and "models/smollm2-135m" in line and "null" in line


def test_folder_with_pickled_weights_alone_is_refused_with_the_conversion(llama_folder, tmp_path):
    for file in llama_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(LlamaForCausalLM.from_pretrained(llama_folder).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(SettingError) as raised:
        tiny_model(pretrained=str(tmp_path))
    line = str(raised.value)
    assert line.startswith("system.pretrained: cannot read ") and "only safetensors are read" in line
    assert "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(FOLDER, safe_serialization=True)" in line
    LlamaForCausalLM.from_pretrained(tmp_path).save_pretrained(tmp_path, safe_serialization=True)
    assert (
        tiny_model(pretrained=str(tmp_path)).weights_sha256 == tiny_model(pretrained=str(llama_folder)).weights_sha256
    )


@pytest.mark.parametrize("lost", ["lm_head.weight", "model.layers.1."])
def test_checkpoint_without_all_weights_is_refused(llama_folder, tmp_path, lost):
    for file in llama_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    missing = [name for name in sorted(weights) if name.startswith(lost)]
    kept = {name: tensor for name, tensor in weights.items() if name not in missing}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    state = torch.get_rng_state()
    with pytest.raises(
        SettingError, match=rf"^system\.pretrained: .* lacks {len(missing)} weights, {missing[0]} among"
    ):
        load_causal_lm(str(tmp_path))
    assert torch.equal(torch.get_rng_state(), state)


def test_tokeniser_with_more_ids_than_the_embedding_table_is_refused_on_loading(llama_folder, tmp_path):
    for file in llama_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rows = len(tokenizer)
    tokenizer.add_tokens(["Ġone", "Ġtwo"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        SettingError, match=rf"a tokeniser of {rows + 2} ids and an embedding table of {rows} rows; give"
    ):
        load_causal_lm(str(tmp_path))


def test_masked_language_model_is_refused_by_the_setting_that_names_it(llama_folder, tmp_path):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=32, initializer_range=0.5, **sizes)
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for setting in ("system.pretrained", "--judge"):
        with pytest.raises(
            SettingError, match=rf"^{setting}: .*\(roberta\) sees the pieces that it should predict; give"
        ):
            load_causal_lm(str(tmp_path), setting)


def test_model_of_text_and_images_is_refused(llama_folder, tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": 64, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32}
    images = {"image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=sizes | text, vision_config=sizes | images, mm_tokens_per_image=1)
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(llama_folder).save_pretrained(tmp_path)
    problem = r"^system\.pretrained: .* \(gemma3\) is a model of several parts, such as text and images; give"
    with pytest.raises(SettingError, match=problem):
        load_causal_lm(str(tmp_path))


def test_output_without_a_piece_is_never_drawn(llama_folder, tmp_path):
    for file in llama_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lm = LlamaForCausalLM.from_pretrained(tmp_path)
    lm.resize_token_embeddings(lm.config.vocab_size + 1000)  # drawn three times in four otherwise
    lm.save_pretrained(tmp_path)
    model = tiny_model(pretrained=str(tmp_path))
    assert len(generate(model, [0], 10, greedy=False, seed=1)) == 10


def test_batch_passes_unchanged_through_lightning():
    model = tiny_model()
    batch = next(iter(model.datamodule(seed=3).train_dataloader()))
    moved = model.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert isinstance(moved, PieceBatch) and moved.trained_words == batch.trained_words
    assert torch.equal(moved.pieces, model.datamodule(seed=3).batches.batch(0).pieces)
