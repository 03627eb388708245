"""What the environment holds that no record, log or mirror may show: keys, tokens, passwords."""

import os
import re
from typing import Any

from bench.core.errors import SettingError

ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS")

SHORTEST = 8  # characters; a shorter value may well stand in a text by chance


def known() -> dict[str, str]:
    """Secrets of this process's environment -> the names of their variables."""
    return {
        value: name for name, value in os.environ.items() if name.upper().endswith(ENDINGS) and len(value) >= SHORTEST
    }


def refuse_secrets(config: Any, setting: str = "") -> None:
    """A configuration is written down: into the record, Hydra's folder and W&B.

    Raises:
        SettingError: a value in it holds a secret, or asks the environment for one.
    """
    if isinstance(config, dict | list):
        rows = config.items() if isinstance(config, dict) else enumerate(config)
        for key, value in rows:
            refuse_secrets(value, f"{setting}.{key}".lstrip("."))
        return
    text = str(config)
    asked = [name for name in re.findall(r"oc\.env:\s*([^},\s]+)", text) if name.upper().endswith(ENDINGS)]
    held = [name for value, name in known().items() if value in text]
    if asked or held:
        name = (asked or held)[0]
        raise SettingError(setting, f"it would write the value of {name} into records and logs; leave it out")


def scrub(text: str) -> str:
    """The same without secrets, for what a library says of its errors."""
    for value, name in known().items():
        text = text.replace(value, f"<{name}>")
    return text
