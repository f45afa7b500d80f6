"""`make docs`: the site is built without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from engine.presets import shipped_names

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]*)\""
                    r"|<link\b[^>]*\bhref=\"([^\"]*)\"")
IN_STYLES = re.compile(r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?(?:https?:)?//")


@pytest.fixture(autouse=True)
def _mkdocs() -> None:
    if importlib.util.find_spec("mkdocs") is None:
        if os.environ.get("CI"):
            pytest.fail("mkdocs is not installed")
        pytest.skip("mkdocs is not installed")


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts/site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d",
                           tmp_path / "site"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        loaded = [a or b for a, b in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert loaded, page.name
        assert not [at for at in loaded if re.match(r"(?:https?:)?//", at)], page.name
    styles = list((tmp_path / "site").rglob("*.css"))
    assert styles
    assert not [path.name for path in styles if IN_STYLES.search(path.read_text())]
    played = plays_what_is_there(tmp_path / "site")
    assert len(played) >= 4 * len(shipped_names())
    models = (tmp_path / "site" / "reference" / "models.html").read_text(encoding="utf-8")
    assert "engine.models.chain.Chain.of" in models
    assert "tudor_process_slice" in (tmp_path / "site/reference/c.html").read_text()


def plays_what_is_there(site: Path) -> list[Path]:
    """Every sound that a page of the site plays; all of them are files of the site."""
    found = [(page.parent / at) for page in site.rglob("*.html")
             for at in re.findall(r'<audio\b[^>]*\bsrc="([^"]+)"', page.read_text("utf-8"))]
    assert not [path for path in found if not path.is_file()]
    return found


def links(markdown: str, page: str) -> str:
    files = SimpleNamespace(get_file_from_path=lambda path: None)
    return hook().on_page_markdown(
        markdown, page=SimpleNamespace(file=SimpleNamespace(src_uri=page)), files=files)


def test_links_lead_from_page_to_page_and_others_are_names() -> None:
    assert links("[a](docs/native.md#the-file)", "index.md") == "[a](native.md#the-file)"
    assert links("[a](../CONTRIBUTING.md)", "native.md") == "[a](CONTRIBUTING.md)"
    assert links("[a](../native.md)", "reference/python.md") == "[a](../native.md)"
    assert links("[`tudor.h`](../engine/core/tudor.h)", "native.md") == "`tudor.h`"
    assert links("[the list](../engine/core/ops.inc)", "native.md") == (
        "the list (`engine/core/ops.inc`)")
    assert links("![p](docs/pictures/demo.png)", "index.md") == "![p](pictures/demo.png)"
    assert links("[a](https://a.b/c.md) [b](#there)", "native.md") == (
        "[a](https://a.b/c.md) [b](#there)")


def test_a_link_to_nothing_ends_the_build() -> None:
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match=r"docs/native\.md links to nowhere\.md"):
        links("[a](nowhere.md)", "native.md")
