"""One self-contained page out of a packaged one: its styles and modules inside, and data in place of a server.

ES modules can't be loaded from ``file://``, so the modules that the page imports are joined into one: each becomes a
function that is called once, in the order of the imports, and returns what it exports.  This reads the module syntax
that our own files use, ``import { a, b as c } from "./x.js"`` and ``export`` before a declaration, and refuses any
other; it is no general bundler.  The page carries a Content-Security-Policy with the hashes of its one script and its
one style: nothing else runs in it, and it can reach nothing.

Does not do: minifying; what is inside can be read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from chainrule.base.errors import DataError
from chainrule.play import assets

_IMPORT = re.compile(r"^import\s*\{([^}]*)\}\s*from\s*\"([^\"]+)\";?[^\S\n]*$", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:(?:async\s+)?function\*?|class|const)\s+([A-Za-z_$][\w$]*))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$|\bimport\s*\(|\bimport\.meta\b", re.MULTILINE)
_AS = re.compile(r"\s+as\s+")
_STYLE = re.compile(r"<link rel=\"stylesheet\" href=\"([^\"]+)\">\n?")
_SCRIPT = re.compile(r"<script type=\"module\" src=\"([^\"]+)\"></script>\n?")


def join_modules(entry: str, sources: Mapping[str, str]) -> str:
    """The module at address ``entry`` and all that it imports as one script.  ``sources``: text by address."""
    names: dict[str, str] = {}
    parts: list[str] = []
    _join(entry, sources, names, parts, ())
    return "".join(parts)


def _join(
    address: str, sources: Mapping[str, str], names: dict[str, str], parts: list[str], within: tuple[str, ...]
) -> str:
    """The variable that holds what the module at ``address`` exports; adds it and what it needs to ``parts``."""
    if address in names:
        return names[address]
    if address in within:
        raise _refused("modules import each other in a circle", " → ".join((*within, address)))
    if address not in sources:
        raise _refused("a module is not in the package", address)
    found = {
        target: _join(_resolved(address, target), sources, names, parts, (*within, address))
        for _, target in _IMPORT.findall(sources[address])
    }

    def taken(statement: re.Match[str]) -> str:
        return f"const {{{_AS.sub(': ', statement[1])}}} = {found[statement[2]]};"

    text = _IMPORT.sub(taken, sources[address])
    exports = _EXPORT.findall(text)
    text = _EXPORT.sub("", text)
    if (other := _OTHER.search(text)) is not None:
        raise _refused("module syntax that can't be joined", f"{other[0][:80]} in {address}")
    name = f"m{len(names)}"
    names[address] = name
    parts.append(f"// {address}\nconst {name} = (() => {{\n{text}\nreturn {{ {', '.join(exports)} }};\n}})();\n\n")
    return name


def _refused(problem: str, got: str) -> DataError:
    return DataError(problem, expected='import { a } from "./b.js" and export before a declaration', got=got,
                     where="the pages' files", fix="write the module so, or reinstall chainrule")  # fmt: skip


def _resolved(base: str, target: str) -> str:
    parts = base.split("/")[:-1]
    if target.startswith("/"):
        return target
    for piece in target.split("/"):
        if piece == "..":
            parts.pop()
        elif piece != ".":
            parts.append(piece)
    return "/".join(parts)


def one_page(address: str, data: Mapping[str, Any]) -> str:
    """The page at ``address`` with everything inside; ``data`` stands in it as JSON, by the id of its element."""
    table = assets.table()
    texts = {at: asset.source.read_text("utf-8") for at, asset in table.items() if asset.kind.startswith("text/")}
    page = texts[address]
    style = "\n".join(texts[at] for at in _STYLE.findall(page))
    script = "\n".join(join_modules(at, texts) for at in _SCRIPT.findall(page))
    for text, tag in ((style, "</style"), (script, "</script"), (script, "<!--")):
        if tag in text.lower():
            raise _refused(f"a file holds {tag}", "it would end what it stands in")
    page = _SCRIPT.sub("", _STYLE.sub("", page))
    head = f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n<style>{style}</style>\n'
    body = "".join(
        f'<script type="application/json" id="{name}">{_embedded(value)}</script>\n' for name, value in data.items()
    )
    body += f'<script type="module">{script}</script>\n'
    if page.count("</head>") != 1 or page.count("</body>") != 1 or '<meta charset="utf-8">\n' not in page:
        raise _refused("the page has not one head and one body", address)
    page = page.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{head}')
    return page.replace("</body>", f"{body}</body>")


def _policy(style: str, script: str) -> str:
    return "; ".join(
        [
            "default-src 'none'", f"script-src '{_hash(script)}'", f"style-src '{_hash(style)}'",
            "img-src data: blob:", "base-uri 'none'", "form-action 'none'",
        ]
    )  # fmt: skip


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _embedded(value: Any) -> str:
    """JSON that can't end the element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
