"""Keep keys, tokens and passwords of the environment out of records, logs and W&B."""

import os
import re
from typing import Any

from bench.core.dotted import dotted
from bench.core.errors import SettingError

ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS")

SHORTEST = 8  # characters; a shorter value may occur in a text by chance


def secrets() -> dict[str, str]:
    """Return the name of the environment variable of each secret, by the secret."""
    return {
        value: name for name, value in os.environ.items() if name.upper().endswith(ENDINGS) and len(value) >= SHORTEST
    }


def refuse_secrets(config: Any, setting: str = "") -> None:
    """Check a configuration, which is written into the record, Hydra's folder and W&B.

    Raises:
        SettingError: a value holds a secret, or an interpolation reads a secret from the environment.
    """
    if isinstance(config, dict | list):
        items = config.items() if isinstance(config, dict) else enumerate(config)
        for key, value in items:
            refuse_secrets(value, dotted(setting, key))
        return
    text = str(config)
    asked = [name for name in re.findall(r"oc\.env:\s*([^},\s]+)", text) if name.upper().endswith(ENDINGS)]
    held = [name for value, name in secrets().items() if value in text]
    if asked or held:
        name = (asked or held)[0]
        raise SettingError(setting, f"the secret {name} would appear in records and logs; leave it out of the settings")


def scrub(text: str) -> str:
    """Return a text, such as a library's error, with each secret replaced by the name of its variable."""
    for value, name in secrets().items():
        text = text.replace(value, f"<{name}>")
    return text
