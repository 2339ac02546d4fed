"""report.html: one file that shows a report, with all its data, styles and programs inside.

`template.html`, `page.css` and `js/` are the page; `vendor/` holds the library that draws its curves. Here they are put
together, with the data as one block of JSON. The page's policy names the hashes of its own styles and programs: nothing
else in it runs, and it can load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from string import Template
from typing import Any

HERE = Path(__file__).parent
VENDOR = HERE / "vendor" / "uplot"
# In the order in which they come: each may use what the earlier ones declare.
PROGRAMS = ("dom", "data", "chart", "table", "configurations", "matrix", "costs", "radar", "space", "trial", "main")
NEITHER = "base-uri 'none'; form-action 'none'"


def page(title: str, data: dict[str, Any]) -> bytes:
    """The whole file."""
    program, style = programs(), styles()
    policy = f"default-src 'none'; script-src {_hash(program)}; style-src {_hash(style)}; {NEITHER}"
    template = Template((HERE / "template.html").read_text(encoding="utf-8"))
    whole = template.substitute(title=text(title), policy=policy, style=style, data=embedded(data), program=program)
    return whole.encode("utf-8", errors="backslashreplace")


def programs() -> str:
    """The library, then the page's own program, in a scope of its own."""
    library = (VENDOR / "uPlot.iife.min.js").read_text(encoding="utf-8")
    own = [(HERE / "js" / f"{name}.js").read_text(encoding="utf-8") for name in PROGRAMS]
    return "\n".join([library, '(() => {\n"use strict";', *own, "})();"])


def styles() -> str:
    """The library's, then the page's own."""
    files = (VENDOR / "uPlot.min.css", HERE / "page.css")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def embedded(data: dict[str, Any]) -> str:
    r"""JSON that ends no element of HTML, whatever its texts are.

    >>> embedded({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII alone
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text(value: str) -> str:
    """A text as the content of an element."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
