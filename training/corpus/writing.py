"""A corpus on disk: 16-bit WAV files and one CSV that says what each contains.

    OUT_DIR/loop_00000.wav, loop_00001.wav, …   metadata.csv   (.partial-* while being made)
    OUT_DIR/kick/kick_00000.wav, snare/snare_00001.wav, …      (where a corpus has classes)
    OUT_DIR/house/kick/kick_00000.wav, …                       (and groups of them)
    OUT_DIR/1001_1/1001_1_00000.wav, 1001_1/1001_1_00000.notes  (and text beside each sound)
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

METADATA = "metadata.csv"
BESIDE = "beside"  # of what is rendered: no column, but the text of the file beside the sound
MOST_MINUTES = 6000  # a hundred hours; more is a slip of the finger, and names have five digits
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8000, 96000
_OWN_COLUMNS = {"file", "seed", "index", "voices"}

Sound = npt.NDArray[np.float32]
Render = Callable[[int], tuple[Sound, dict[str, Any]]]
# (kind, seed, sample rate, channels), and whatever else decides what files contain.
Request = tuple[str, int, int, int, *tuple[object, ...]]


@dataclass(frozen=True)
class Names:
    """How the files of one kind of corpus are called: `loop_00000.wav`, or by class."""

    word: str = "loop"
    classes: tuple[str, ...] = ()
    beside: str = ""  # suffix of the text file that each sound has beside it
    groups: tuple[str, ...] = ()  # folders around those of the classes

    @property
    def words(self) -> str:
        """Several of them."""
        return f"{self.word}s"

    def file(self, index: int, of_class: str = "", group: str = "") -> str:
        """Name of one file inside the corpus, with `/` whatever the system."""
        name = of_class or self.word
        around = f"{group}/" if group else ""
        own = f"{name}_{index:05d}.wav"
        return f"{around}{name}/{own}" if self.classes else own

    def owns(self, name: str) -> bool:
        """Whether a file of that name may have been written by an earlier run."""
        suffix = rf"\.wav|{re.escape(self.beside)}" if self.beside else r"\.wav"
        if not self.classes:
            return re.fullmatch(rf"{self.word}_\d{{5,}}({suffix})", name) is not None
        around = f"({'|'.join(self.groups)})/" if self.groups else "()"
        return re.fullmatch(rf"{around}({'|'.join(self.classes)})/\2_\d{{5,}}({suffix})",
                            name) is not None

    @property
    def folders(self) -> Iterator[str]:
        """That may hold sounds, the inner ones before those around them."""
        for group in self.groups:
            yield from (f"{group}/{name}" for name in self.classes)
        yield from self.groups or self.classes

    def with_text(self, sounds: list[str]) -> list[str]:
        """All files of these sounds: themselves, and what lies beside them."""
        texts = [str(Path(name).with_suffix(self.beside).as_posix()) for name in sounds]
        return [*sounds, *texts] if self.beside else sounds


LOOPS = Names()


def check_request(seed: int, index: int, sample_rate_hz: int, channels: int) -> None:
    """Refuses what cannot be rendered."""
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if index < 0:
        raise ValueError(f"index must be 0 or more, not {index}")
    if not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(
            f"sample rate must lie between {LOWEST_RATE_HZ} and {HIGHEST_RATE_HZ} Hz, "
            f"not {sample_rate_hz}"
        )
    if channels not in (1, 2):
        raise ValueError(f"channels must be 1 or 2, not {channels}")


def row_of(
    file: str, seed: int, index: int, audio: npt.NDArray[np.float64], sample_rate_hz: int,
    voices: dict[str, Any], **more: Any,
) -> dict[str, Any]:
    """The row of the metadata of `audio` [channels, samples]; `more` is what its kind adds."""
    peak, power = float(np.abs(audio).max()), float(np.mean(audio**2))
    return {
        "file": file, "seed": seed, "index": index, **more,
        "sample_rate_hz": sample_rate_hz, "channels": len(audio), "samples": audio.shape[-1],
        "duration_s": round(audio.shape[-1] / sample_rate_hz, 6),
        "rms_dbfs": round(10 * np.log10(power + 1e-20), 2),
        "crest_db": round(20 * np.log10(peak + 1e-10) - 10 * np.log10(power + 1e-20), 2),
        "voices": json.dumps(voices, separators=(",", ":")),
    }


def _files(folder: Path, inside: str = "") -> Iterator[str]:
    """What lies in a folder, nested, in order of name, leaving out runs that were killed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if inside or not entry.name.startswith(".partial-"):
                yield from _files(entry, f"{inside}{entry.name}/")
        else:
            yield inside + entry.name


def check_folder(out_dir: Path, names: Names = LOOPS) -> None:
    """Refuses a folder that holds anything but an earlier corpus of this kind: nothing of the
    user's is lost, and no corpus is replaced by one of another kind."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise ValueError(f"{out_dir} is a file; a corpus needs a folder")
    own = ""
    for name in _files(out_dir):
        if names.owns(name):
            own = own or name
        elif name != METADATA:
            raise ValueError(f"{out_dir} holds files that are not a corpus of {names.words} "
                             f"({name}); choose an empty folder")
    if (out_dir / METADATA).exists():
        with (out_dir / METADATA).open(newline="", encoding="utf-8") as table:
            columns = set(next(csv.reader(table), []))
        if not columns >= _OWN_COLUMNS:
            raise ValueError(f"{out_dir / METADATA} was not written by this tool; "
                             "choose an empty folder")
    elif own:
        raise ValueError(f"{out_dir} holds {own} but no {METADATA}; choose an empty folder")


def write_corpus(
    out_dir: Path,
    minutes: float,
    render: Render,
    names: Names,
    request: Request,
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Renders files 0, 1, … into `out_dir` until they last `minutes`: their paths.

    The folder may be absent, empty, or hold an earlier corpus of this kind, which is replaced once
    the new one is complete. `request` is all that decides what files contain; `progress` is told
    the finished share, 0 to 1, after each file.

    Everything is made in a hidden folder inside `out_dir` (so renaming never crosses a disk) and
    moved at the end. Whatever stops it before, an error or a pressed key, leaves `out_dir` as it
    was; only a killed process leaves the hidden folder. The next run with the same `request` goes
    on there, any other removes it.
    """
    _, seed, sample_rate_hz, channels, *_ = request
    check_request(seed, 0, sample_rate_hz, channels)
    if not 0 < minutes <= MOST_MINUTES:
        raise ValueError(f"minutes must lie between 0 and {MOST_MINUTES}, not {minutes}")
    check_folder(out_dir, names)
    existed = out_dir.exists()
    out_dir.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(repr((names, request)).encode()).hexdigest()[:12]
    staging = out_dir / f".partial-{key}"
    for leftover in out_dir.glob(".partial-*"):
        if leftover != staging:
            shutil.rmtree(leftover)
    staging.mkdir(exist_ok=True)
    try:
        made = _render_into(staging, minutes * 60.0, render, progress, names.beside)
        _replace(out_dir, staging, names.with_text(made), names)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not existed and not any(out_dir.iterdir()):
            out_dir.rmdir()
    return [out_dir / name for name in made]


def _already_made(staging: Path) -> list[dict[str, str]]:
    """Rows whose files are complete, up to the first that is not, of a run that was killed."""
    rows: list[dict[str, str]] = []
    if not (staging / METADATA).exists():
        return rows
    with (staging / METADATA).open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            try:
                info = soundfile.info(str(staging / row["file"]))
                whole = info.frames == int(row["samples"]) and None not in row.values()
            except (soundfile.LibsndfileError, KeyError, TypeError, ValueError):
                whole = False
            if not whole:
                break
            rows.append(row)
    return rows


def _sound(audio: Sound, row: dict[str, Any]) -> Sound:
    """`audio`, unless it is what no corpus may hold: a fault here must not reach a training."""
    peak = float(np.abs(audio).max(initial=0.0))
    if not peak <= 1.0 or float(np.sqrt(np.mean(audio**2))) < 1e-4:  # not <=: also no number
        raise ValueError(f"{row['file']} of seed {row['seed']} came out silent or clipped; "
                         "please report it")
    return audio


def _render_into(
    staging: Path, least_s: float, render: Render, progress: Callable[[float], None] | None,
    beside: str = "",
) -> list[str]:
    """All files and the table, in `staging`: the names of the sounds."""
    earlier = _already_made(staging)
    names: list[str] = []
    made_s = 0.0
    with (staging / METADATA).open("w", newline="", encoding="utf-8") as table:
        writer: csv.DictWriter[str] | None = None
        while made_s < least_s:
            row: dict[str, Any]
            if len(names) < len(earlier):
                row = dict(earlier[len(names)])
            else:
                audio, row = render(len(names))
                path = staging / row["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                if beside:
                    path.with_suffix(beside).write_text(row.pop(BESIDE), "utf-8")
                soundfile.write(path, _sound(audio, row).T, row["sample_rate_hz"],
                                subtype="PCM_16")
            if writer is None:
                writer = csv.DictWriter(table, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
            table.flush()
            names.append(row["file"])
            made_s += int(row["samples"]) / int(row["sample_rate_hz"])
            if progress is not None:
                progress(min(1.0, made_s / least_s))
    return names


def _replace(out_dir: Path, staging: Path, made: list[str], names: Names) -> None:
    """The finished files in place of an earlier corpus; the table last, when all it lists is there.

    While files move, the table of the earlier corpus stays: a crash here leaves a folder that the
    next run still recognises.
    """
    if not (out_dir / METADATA).exists():
        (staging / METADATA).replace(out_dir / METADATA)
    for name in made:
        (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(out_dir / name)
    for old in set(_files(out_dir)) - {*made, METADATA}:
        if names.owns(old):
            (out_dir / old).unlink()
    for folder in names.folders:
        if (out_dir / folder).is_dir() and not any((out_dir / folder).iterdir()):
            (out_dir / folder).rmdir()
    if (staging / METADATA).exists():
        os.replace(staging / METADATA, out_dir / METADATA)
