"""What `make docs` adds to the documents: pages of the repository's root, the C header, links.

Links lead from page to page where both are in the site. A link to another file of the repository
becomes that file's name; one to a file that does not exist ends the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
FROM_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md",
             "CHANGELOG.md": "CHANGELOG.md", "SECURITY.md": "SECURITY.md"}
C_PAGE = "reference/c.md"
C_TEXT = """# The C runtime

What a program calls, as `tudor.h` says it. [The native runtime](../native.md) shows how to begin.

```c
{header}```
"""
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the pages that do not stand in docs/."""
    for source, page in FROM_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    header = (ROOT / "engine" / "core" / "tudor.h").read_text(encoding="utf-8")
    files.append(File.generated(config, C_PAGE, content=C_TEXT.format(header=header)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Links as the site needs them."""
    uri = page.file.src_uri
    source = next((name for name, to in FROM_ROOT.items() if to == uri), f"{DOCS}/{uri}")
    if uri == C_PAGE:
        return markdown

    def lead(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        anchor = found[2] or ""
        if not (ROOT / target).exists():
            if files.get_file_from_path(target.removeprefix(f"{DOCS}/")) is not None:
                return found[0]  # a page that is made here
            raise PluginError(f"{source} links to {found[1]}, which does not exist")
        inside = FROM_ROOT.get(target)
        if inside is None and target.startswith(f"{DOCS}/"):
            inside = target.removeprefix(f"{DOCS}/")
        if inside is None:
            return f"OUTSIDE{target}"
        return posixpath.relpath(inside, posixpath.dirname(uri) or ".") + anchor

    markdown = LINK.sub(lead, markdown)
    return re.sub(r"(?<!!)\[([^\]]*)\]\(OUTSIDE([^)]*)\)", _named, markdown)


def _named(found: re.Match[str]) -> str:
    """Text for a link that leads out of the site."""
    text, target = found[1], found[2]
    name = text.strip("`")
    return text if name in target else f"{text} (`{target}`)"
