"""Scripts of the page: a library for figures, a library for tables, and the code that binds both to the page."""

import base64
import hashlib
import importlib.metadata
import importlib.util
import re
from functools import cache
from pathlib import Path

WIRING = Path(__file__).parent / "templates" / "page.js"

REMEDY = "pip install them, then python -m bench.report FOLDER"  # a GPU machine without a network lacks them

VEGA_LITE = "6.4"  # of the versions that vl-convert holds


@cache
def charts() -> str:
    """Return Vega-Embed with Vega and Vega-Lite, which vl-convert bundles; 0.9 MB."""
    import vl_convert  # only when a page is written: its JavaScript engine takes 100 MB of memory

    return vl_convert.javascript_bundle("window.drawChart = vegaEmbed;", VEGA_LITE)


@cache
def tables() -> str:
    """Return DataTables, which itables bundles (0.6 MB), and the page's own code."""
    path = importlib.metadata.distribution("itables").locate_file("itables/html/dt_bundle.js")
    bundle = Path(str(path)).read_text(encoding="utf-8")
    name = re.search(r"([\w$]+) as default", bundle)
    if name is None:
        raise ValueError(f"{path}: no default export, which is DataTables in itables 2.9")
    return f"{bundle}\n{{\nconst DataTable = {name[1]};\n{WIRING.read_text(encoding='utf-8')}}}\n"


def scripts(has_charts: bool) -> list[str]:
    """Return the text of every script of the page, in the order in which they run; none if a package is missing."""
    packages = {"itables": "itables", "vl-convert-python": "vl_convert"} if has_charts else {"itables": "itables"}
    missing = [name for name, module in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"the page shows all as text and pictures: without {' and '.join(missing)} it has no scripts; {REMEDY}")
        return []
    texts = [charts(), tables()] if has_charts else [tables()]
    return [text.replace("</script", r"<\/script") for text in texts]


def digest(text: str) -> str:
    """Return the hash by which the page's security policy allows one script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
