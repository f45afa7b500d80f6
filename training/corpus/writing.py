"""A corpus on disk: loops as 16-bit WAV files and one CSV that says what each contains.

    OUT_DIR/loop_00000.wav, loop_00001.wav, …   metadata.csv   (.partial-* while being made)
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

METADATA = "metadata.csv"
MOST_MINUTES = 6000  # a hundred hours; more is a slip of the finger, and names have five digits
_OWN_NAME = re.compile(r"loop_\d{5,}\.wav|metadata\.csv|\.partial-.*")
_OWN_COLUMNS = {"file", "seed", "index", "bpm", "voices"}

Render = Callable[[int], tuple[npt.NDArray[np.float32], dict[str, Any]]]


def check_folder(out_dir: Path) -> None:
    """Refuses a folder that holds anything but an earlier corpus: nothing of the user's is lost."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise ValueError(f"{out_dir} is a file; a corpus needs a folder")
    names = sorted(entry.name for entry in out_dir.iterdir())
    strangers = [name for name in names if not _OWN_NAME.fullmatch(name)]
    if strangers:
        raise ValueError(
            f"{out_dir} holds files that are not a corpus of loops ({strangers[0]}); "
            "choose an empty folder"
        )
    loops = [name for name in names if name.startswith("loop_")]
    if METADATA in names:
        with (out_dir / METADATA).open(newline="", encoding="utf-8") as table:
            columns = set(next(csv.reader(table), []))
        if not columns >= _OWN_COLUMNS:
            raise ValueError(f"{out_dir / METADATA} was not written by this tool; "
                             "choose an empty folder")
    elif loops:
        raise ValueError(f"{out_dir} holds {loops[0]} but no {METADATA}; choose an empty folder")


def write_loops(
    out_dir: Path,
    least_s: float,
    render: Render,
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Renders loops 0, 1, … until they last `least_s` seconds: their paths.

    Everything is made in a hidden folder inside `out_dir` (so renaming never crosses a disk) and
    moved at the end. Whatever stops it before, an error or a pressed key, leaves `out_dir` as it
    was; only a killed process leaves the hidden folder, which the next run removes.
    """
    check_folder(out_dir)
    existed = out_dir.exists()
    out_dir.mkdir(parents=True, exist_ok=True)
    for leftover in out_dir.glob(".partial-*"):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=out_dir))
    try:
        names = _render_into(staging, least_s, render, progress)
        _replace(out_dir, staging, names)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not existed and not any(out_dir.iterdir()):
            out_dir.rmdir()
    return [out_dir / name for name in names]


def _render_into(
    staging: Path, least_s: float, render: Render, progress: Callable[[float], None] | None
) -> list[str]:
    """All loops and the table, in `staging`: the names of the loops."""
    names: list[str] = []
    made_s = 0.0
    with (staging / METADATA).open("w", newline="", encoding="utf-8") as table:
        writer: csv.DictWriter[str] | None = None
        while made_s < least_s:
            audio, row = render(len(names))
            path = staging / row["file"]
            soundfile.write(path, audio.T, row["sample_rate_hz"], subtype="PCM_16")
            if writer is None:
                writer = csv.DictWriter(table, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
            names.append(path.name)
            made_s += audio.shape[-1] / row["sample_rate_hz"]
            if progress is not None:
                progress(min(1.0, made_s / least_s))
    return names


def _replace(out_dir: Path, staging: Path, names: list[str]) -> None:
    """The finished loops in place of an earlier corpus; the table last, when all it lists is there.

    While loops move, the table of the earlier corpus stays: a crash here leaves a folder that the
    next run still recognises.
    """
    if not (out_dir / METADATA).exists():
        (staging / METADATA).replace(out_dir / METADATA)
    for name in names:
        (staging / name).replace(out_dir / name)
    for old in set(out_dir.glob("loop_*.wav")) - {out_dir / name for name in names}:
        old.unlink()
    if (staging / METADATA).exists():
        os.replace(staging / METADATA, out_dir / METADATA)
