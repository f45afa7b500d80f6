"""A folder of recordings to train on: what may only be measured with left out, the licence kept.

    OUT_DIR/bd_808.flac, …   licence/README.md, …   manifest.json
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from training.data.audio_folder import SUFFIXES

MANIFEST = "manifest.json"
LICENCE_FOLDER = "licence"
# Names, without suffix, of sounds that this project judges models by: none is ever trained on.
ONLY_MEASURED = ("loop_amen*", "loop_industrial", "loop_mika", "loop_garzul", "loop_breakbeat",
                 "ambi_choir")
_LICENCE_NAME = re.compile(r"(licen[cs]e|copying|copyright|provenance|notice)", re.IGNORECASE)
_LICENCE_WORDS = re.compile(r"licen[cs]e|creative commons|public domain|copyright", re.IGNORECASE)


def only_measured(path: Path) -> bool:
    """Whether a sound of that name is for measuring only."""
    return any(fnmatchcase(path.stem.lower(), pattern) for pattern in ONLY_MEASURED)


def _licences(source: Path) -> list[Path]:
    """Files that say under what licence the sounds come: in the folder, or else in those above it
    that belong to the same package (an npm package keeps them at its root)."""
    for folder in (source, *source.parents[:2]):
        found = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and (
            _LICENCE_NAME.match(entry.name) or (
                entry.name.lower().startswith("readme")
                and _LICENCE_WORDS.search(entry.read_text(encoding="utf-8", errors="replace"))))]
        if found or (folder / "package.json").exists():
            return found
    return []


def _check(out_dir: Path, source: Path) -> None:
    """Refuses a source that is none, and a folder that holds anything but an earlier corpus."""
    if not source.is_dir():
        raise ValueError(f"--from {source}: no such folder")
    if out_dir.exists() and not out_dir.is_dir():
        raise ValueError(f"{out_dir} is a file; a corpus needs a folder")
    inside, outside = out_dir.resolve(), source.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise ValueError(f"{out_dir} and --from {source} lie in one another; choose another folder")
    if out_dir.exists() and any(out_dir.iterdir()) and not _own(out_dir):
        raise ValueError(f"{out_dir} holds files that are not a corpus of recordings; "
                         "choose an empty folder")


def _own(out_dir: Path) -> bool:
    """Whether a folder is an earlier corpus, with nothing in it that was put there since."""
    try:
        manifest = json.loads((out_dir / MANIFEST).read_text(encoding="utf-8"))
        listed = {entry["file"] for entry in manifest["files"]}
        listed |= {f"{LICENCE_FOLDER}/{name}" for name in manifest["licence"]["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    there = {entry.relative_to(out_dir).as_posix() for entry in out_dir.rglob("*")
             if not entry.is_dir()}
    return there <= listed | {MANIFEST}


def gather(
    out_dir: Path, source: Path, licence: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Copies the sounds of `source`, nested as they are, into `out_dir`: the manifest.

    `licence` says what files in or above `source` do not. Complete or not at all.
    """
    _check(out_dir, source)
    papers = _licences(source)
    if not papers and not licence:
        raise ValueError(f"{source} holds no LICENSE, COPYING, copyright, PROVENANCE or README "
                         'that names a licence; say it: --licence "CC0-1.0, by ..."')
    sounds = [path for path in sorted(source.rglob("*"))
              if path.suffix.lower() in SUFFIXES and path.is_file()
              and not any(part.startswith(".") for part in path.relative_to(source).parts)]
    kept = [path for path in sounds if not only_measured(path)]
    if not kept:
        raise ValueError(f"{source} holds no audio to train on; looked for {', '.join(SUFFIXES)}")
    out_dir.absolute().parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.absolute().parent))
    try:
        entries: list[dict[str, Any]] = []
        for number, path in enumerate(kept):
            name = path.relative_to(source).as_posix()
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, staging / name)
            digest = hashlib.sha256((staging / name).read_bytes()).hexdigest()
            entries.append({"file": name, "bytes": path.stat().st_size, "sha256": digest})
            if progress is not None:
                progress((number + 1) / len(kept))
        for paper in papers:
            (staging / LICENCE_FOLDER).mkdir(exist_ok=True)
            shutil.copyfile(paper, staging / LICENCE_FOLDER / paper.name)
        manifest = {
            "source": str(source),
            "licence": {"text": licence or "see the files in licence/",
                        "files": [paper.name for paper in papers]},
            "left_out": [path.relative_to(source).as_posix() for path in sounds
                         if only_measured(path)],
            "why_left_out": "for measuring only, never trained on",
            "files": entries,
        }
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _put(staging, out_dir)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _put(staging: Path, out_dir: Path) -> None:
    """The finished folder in place of an earlier one."""
    staging.chmod(0o755)  # temporary folders are private
    if out_dir.exists():
        earlier = staging.with_name(f"{staging.name}-old")
        out_dir.replace(earlier)
        staging.replace(out_dir)
        shutil.rmtree(earlier)
    else:
        staging.replace(out_dir)
