"""What an installation is made of: the tree's own files, and environments with few packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "training", "export", "firmware", "benchmarks", "nn_tudor")
BUILT = (".so", ".o", ".obj", ".pyc")


def own_files() -> set[str]:
    """What the packages' folders hold, but for what was built in them."""
    return {str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*")
            if path.is_file() and path.suffix not in BUILT and path.name != "_native.c"}


def copied(folder: Path) -> Path:
    """The tree as an installer gets it: nothing that was built, neither tests nor docs."""
    for name in (*own_files(), "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def needed() -> Iterator[Distribution]:
    """What the package itself needs, without any extra, and what that needs in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted, seen = [*project["dependencies"]], set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        marker = requirement.marker
        if name in seen or (marker and not marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # wanted by another Python or system than this
        wanted += found.requires or []
        yield found


class Environment:
    """A Python that has numpy, cffi and the few others that playing needs, and no more; with
    `everything`, all that this one has but for the tree."""

    def __init__(self, folder: Path, everything: bool) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        self.site = next((folder / "lib").glob("python*")) / "site-packages"
        if everything:
            (self.site / "others.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
            return
        for found in needed():
            for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                target = self.site / name
                if not target.exists():
                    target.symlink_to(str(found.locate_file(name)))

    def run(self, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`tudor` or `rtf-bench` in `folder`, as its console script begins it."""
        module = {"tudor": "nn_tudor.cli", "rtf-bench": "benchmarks.commands"}[program]
        start = f"import sys; sys.argv[0] = {program!r}; from {module} import main; main()"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment["XDG_CACHE_HOME"] = str(folder / "cache")
        return subprocess.run([str(self.python), "-c", start, *arguments], cwd=folder, text=True,
                              capture_output=True, env=environment, timeout=300)
