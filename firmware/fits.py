"""Which file a board gets for the name of a model, and what `tudor fit` says of it there: told in a
line, and refused where it does not fit, unless that is forced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.boards.board import BOARDS, board_named
from engine.boards.fit import FITS, TOO_MUCH, Fit, fit, largest, percent, summary
from engine.boards.work import Task, task_of_file
from engine.description import Description
from engine.errors import ConfigError, ModelFileError, TudorError, nearest
from engine.files import NATIVE_FILE
from engine.ops import FLOAT32, Q16X8
from engine.players.native_model import NativeFile
from engine.presets import shipped_names, shipped_native
from engine.resolve import FILE, PRESET, RUN, resolve
from firmware import stereo

# By what firmware is made for: machines of `tudor fit`, and the number format that they are best
# served with.
MACHINES = {"daisy": ("daisy",), "pi": tuple(name for name in BOARDS if name.startswith("pi"))}
FORMATS = {"daisy": Q16X8, "pi": FLOAT32}


def model_file(name: str, board: str) -> Path:
    """The native file for a path, a run directory, or a preset: of those that a preset ships with,
    the one that suits the board ("pi", "daisy")."""
    meant = resolve(name, (RUN, FILE, PRESET))
    found = shipped_native(meant.name, FORMATS[board]) if meant.kind == PRESET else None
    found = found or meant.native
    if found is None:
        out = meant.path / NATIVE_FILE if meant.kind == RUN else f"{meant.name}.tudor"
        source = name if meant.kind != FILE else "RUN"
        raise ModelFileError(f"{name} has no native file: tudor export {source} --to native "
                             f"--out {out}")
    return found


def machines(board: str, target: str | None = None) -> tuple[str, ...]:
    """The machines of `tudor fit` that a board may be: all, or the one that is named."""
    known = MACHINES[board]
    if target is None:
        return known
    if target not in known:
        raise ConfigError(f"--target {target}: wants {', '.join(known)}{nearest(target, known)}")
    return (target,)


def check_fit(path: Path, board: str, target: str | None = None, force: bool = False,
              block: int | None = None, mapping: str | None = None, mode: str | None = None,
              ) -> tuple[str, list[dict[str, Any]]]:
    """What `tudor fit` says of a file, as a line and as data. Raises where the file fits none of
    the machines that the board may be, unless that is forced. `block`: samples per callback;
    `mapping`: under which it will be played; `mode`: of stereo, where that says nothing."""
    task = task_of_file(NativeFile(path))
    fits = [fit(task, name, block=block) for name in machines(board, target)]
    how = stereo.asked(mapping, board, mode) if stereo.concerns(task, mapping) else stereo.OFF
    twice = stereo.of_two(task, fits, block) if how != stereo.OFF else []
    judged = twice if how == stereo.ON else fits
    if all(found.verdict == TOO_MUCH for found in judged) and not force:
        one = ""
        if how == stereo.ON and any(found.verdict != TOO_MUCH for found in fits):
            one = "stereo off or auto plays one instance; "
        raise TudorError(f"{path}: {_line(judged)}; {one}{_better(path, task, fits[-1].target)}, "
                         "and --force takes it as it is")
    line = f"{path.name}: {_line(judged)}"
    if how == stereo.AUTO:
        line += f"; {stereo.told(twice)}"
    data = [_facts(found) for found in judged]
    for fact, two in zip(data, twice, strict=False):
        goes = how == stereo.ON or two.verdict != TOO_MUCH
        fact |= {"stereo": how, "instances": 2 if goes else 1, "load_high_of_two":
                 round(two.worst_callback.high, 4)}
    return line, data


def _line(fits: list[Fit]) -> str:
    """One board's verdict with its figures; of several each with its load."""
    if len(fits) == 1:
        return summary(fits[0])
    each = ", ".join(f"{f.target} {f.verdict} ({percent(f.worst_callback)})" for f in fits)
    two = ", two instances" if fits[0].streams == 2 else ""
    return (f"{fits[0].model} ({fits[0].method}, {fits[0].dtype}{two}): {each}; modelled load of "
            f"the busiest callback, of one core, limit {100 * fits[0].load_limit:.0f} %; jack to "
            f"jack about {fits[0].jack_ms:.0f} ms{_strikes(fits[0])}")


def _strikes(found: Fit) -> str:
    return f"; gate to sound {found.strike_text}" if found.strike_ms else ""


def _facts(found: Fit) -> dict[str, Any]:
    return {"target": found.target, "verdict": found.verdict, "dtype": found.dtype,
            "method": found.method, "jack_ms": round(found.jack_ms or 0, 1),
            "strike_ms": found.strike_ms and round(found.strike_ms, 1),
            "load_low": round(found.worst_callback.low, 4),
            "load_high": round(found.worst_callback.high, 4), "load_limit": found.load_limit,
            "problems": list(found.problems), "figures": "modelled, not measured"}


def _better(path: Path, task: Task, target: str) -> str:
    """What would fit instead: the same model in fewer bits, else another."""
    fewer = fit(task, target, Q16X8)
    if task.dtype != Q16X8 and fewer.verdict != TOO_MUCH:
        how = f"in q16x8 it {_may(fewer)} ({percent(fewer.worst_callback)})"
        name = next((n for n in shipped_names() if path.resolve() == shipped_native(n)), None)
        if name and shipped_native(name, Q16X8):
            return f"{how}: name the preset, {name}, which ships in it"
        return f"{how}: tudor export ... --dtype q16x8"
    best = largest(_shipped(Q16X8 if board_named(target).placed else FLOAT32, _role(path)), target)
    return f"the largest preset that fits is {best[0]} in {best[1]}" if best else "no preset fits"


def _may(found: Fit) -> str:
    return "fits" if found.verdict == FITS else "may fit"


def _shipped(dtype: str, role: str) -> list[Task]:
    """Presets that do the same: what codes sound is no help to who wants loops."""
    files = (shipped_native(name, dtype) or shipped_native(name) for name in shipped_names())
    return [task_of_file(NativeFile(file)) for file in files
            if file is not None and _role(file) == role]


def _role(path: Path) -> str:
    return Description.from_json(NativeFile(path).metadata, str(path)).main.role
