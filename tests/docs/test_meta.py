"""What stands beside the code: versions agree, and every promised page is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

FOLDERS = "engine|training|export|firmware|benchmarks|nn_tudor|tests|docs|examples|scripts"


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.M))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(fields)
    assert fields["version"] == PROJECT["version"]
    assert fields["license"] == PROJECT["license"]


def test_the_changelog_knows_this_version_and_what_comes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.M)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title) for title in titles[1:])
    assert PROJECT["version"] in {title.split()[0] for title in titles[1:]}
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_files_that_documents_name_are_there() -> None:
    """Paths in backticks: folders and files of the repository, as they are today."""
    missing, seen = [], 0
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if path.name == "CHANGELOG.md":  # tells of paths that were
            continue
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text):
            seen += 1
            if not (ROOT / name).exists():
                missing.append(f"{path.name}: {name}")
    assert seen > 30
    assert not missing
