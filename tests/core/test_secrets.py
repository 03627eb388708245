"""Keys and passwords of the environment, and where they must not turn up."""

import pytest

from bench.core.errors import SettingError
from bench.core.secrets import refuse_secrets, scrub


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("aws_secret_access_key", "made/up+secret")
    monkeypatch.setenv("SHORT_TOKEN", "the")
    monkeypatch.setenv("HOME_FOLDER", "/home/somebody")


@pytest.mark.parametrize(
    ("config", "setting", "name"),
    [
        ({"logger": {"entity": "k" * 40}}, "logger.entity", "WANDB_API_KEY"),
        ({"corpus": {"path": "/data/made/up+secret/x"}}, "corpus.path", "aws_secret_access_key"),
        ({"generation": {"prompts": ["a", "${oc.env:WANDB_API_KEY}"]}}, "generation.prompts.1", "WANDB_API_KEY"),
        ({"a": "${oc.env: HF_TOKEN ,none}"}, "a", "HF_TOKEN"),
    ],
)
def test_secret_in_a_setting_is_refused_by_its_name_alone(config, setting, name):
    with pytest.raises(SettingError, match=f"^{setting}: the secret {name} would appear in") as raised:
        refuse_secrets(config)
    assert "kkk" not in str(raised.value) and "made/up" not in str(raised.value)


def test_setting_without_a_secret_passes():
    refuse_secrets({"a": "/home/somebody", "b": "the ${oc.env:HOME_FOLDER}", "c": [1, None, True], "tokens": 5})


def test_library_message_is_kept_without_the_secret():
    assert scrub(f"401 for {'k' * 40} at the door") == "401 for <WANDB_API_KEY> at the door"
