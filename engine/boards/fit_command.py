"""`tudor fit`: will it run?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from engine.boards.board import BOARDS, Range, board_named
from engine.boards.fit import FITS, Fit, fit, largest, percent
from engine.boards.work import IN_A_ROW, Task, task_of_file, task_of_model
from engine.errors import ConfigError
from engine.ops import DTYPES
from engine.presets import preset_names
from engine.resolve import FILE, PRESET, resolve


def fit_command(
    model: Annotated[str, typer.Argument(help="Preset, run directory, .toml or .tudor file.")],
    target: Annotated[
        Optional[str],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Option(help=f"{', '.join(BOARDS)}; default: all.")
    ] = None,
    dtype: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help=f"{', '.join(DTYPES)} or all; default: the file's own, else float32.")
    ] = None,
    block: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Samples per callback; default: 48 on a Daisy, else 128.")
    ] = None,
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Method to play, or several in a row, such as encode+decode; default: "
                     "the model's main one.")
    ] = None,
    stereo: Annotated[bool, typer.Option(
        "--stereo", help="A model of one channel, played twice: an instance for each side.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say whether a model will run on a board, before it is trained. All loads are modelled.

    Example: tudor fit techno-tiny --target daisy
    """
    names = [board_named(target).name] if target else list(BOARDS)
    task = read_task(model, method)
    dtypes = list(DTYPES) if dtype == "all" else [dtype]
    if stereo and not task.is_mono:
        raise ConfigError(f"--stereo: {task.method} of {model} is not of one channel of sound; it "
                          "is played once")
    fits = [fit(task, name, d, block, 2 if stereo else 1) for name in names for d in dtypes]
    asked = None if dtype == "all" else dtype
    best = {f.target: largest(_presets(), f.target, asked, block)
            for f in fits if target or f.verdict != FITS}
    if as_json:
        rows = [{**f.to_json(), **_best(best.get(f.target))} for f in fits]
        print(json.dumps(rows[0] if target and len(rows) == 1 else rows, indent=2))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=130)
    if len(fits) == 1:
        _print_one(console, fits[0], best[fits[0].target])
    else:
        _print_all(console, fits)


def _best(found: tuple[str, str] | None) -> dict[str, str | None]:
    name, dtype = found or (None, None)
    return {"largest_preset": name, "largest_preset_dtype": dtype}


def read_task(model: str, method: str | None = None) -> Task:
    """What a method (None: the main one) of a preset, a run directory or a native file asks of a
    machine."""
    meant = resolve(model)
    path = meant.path if meant.kind == FILE else None
    if meant.kind == PRESET and find_spec("torch") is None:
        path = meant.native  # without PyTorch, what a preset's native file tells
    if path is not None and path.suffix.lower() != ".tudor":
        raise ConfigError(f"{model}: boards play .tudor files; name one, its run directory or a "
                          "preset")
    if path is not None:
        from engine.players.native_model import NativeFile

        return task_of_file(NativeFile(path), method)
    from engine.models.store import build_from, read_settings

    built = build_from(read_settings(meant.settings))
    _check_method(model, method, built.methods)
    return task_of_model(built, meant.name, method)


def _check_method(model: str, method: str | None, known: dict[str, Any]) -> None:
    for name in method.split(IN_A_ROW) if method else ():
        if name not in known:
            raise ConfigError(f"{model} has no method {name!r}; it has {', '.join(known)}")


def _presets() -> Iterator[Task]:
    for name in preset_names():
        yield read_task(name)


def _print_all(console: Console, fits: list[Fit]) -> None:
    first = fits[0]
    two = " in two instances" if first.streams == 2 else ""
    table = Table(title=f"{first.model}, {first.method}{two}: "
                  f"{first.macs_per_second / 1e6:.1f} MMAC/s (all loads modelled, one core)",
                  title_justify="left")
    for title in ("target", "numbers", "verdict", "load", "busiest callback", "limit",
                  "weights", "in", "latency there"):
        table.add_column(title, no_wrap=True)
    for f in fits:
        table.add_row(f.target, f.dtype, _coloured(f),
                      percent(f.loads.whole), percent(f.worst_callback),
                      f"{100 * f.load_limit:.0f} %", f"{f.placement.weights_bytes // 1024} KiB",
                      " + ".join(dict.fromkeys(f.placement.weights_in)) or "-",
                      f"{f.latency_ms:.1f} ms")
    console.print(table)
    for f in fits:
        for problem in f.problems:
            console.print(f"{f.target}, {f.dtype}: {problem}", highlight=False, soft_wrap=True)


def _coloured(found: Fit) -> str:
    colour = {"fits": "green", "uncertain": "yellow"}.get(found.verdict, "red")
    return f"[{colour}]{found.verdict}[/]"


def _print_one(console: Console, found: Fit, best: tuple[str, str] | None) -> None:
    board = board_named(found.target)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, highlight=False, soft_wrap=True, style=style)

    two = ", two instances" if found.streams == 2 else ""
    say(f"[bold]{found.model}[/] ({found.method}, {found.dtype}{two}) on {board.title}: "
        f"[bold]{_coloured(found)}[/]")
    for problem in found.problems:
        say(f"  problem: {problem}")
    console.print(_bounds_table(found))
    console.print(_memory_table(found))
    for note in _notes(found):
        say(f"note: {note}")
    say(f"largest preset that fits here: {f'{best[0]} in {best[1]}' if best else 'none'}")
    say(f"All loads are modelled, none was measured on this board. {board.source}.", "dim")


def _bounds_table(found: Fit) -> Table:
    table = Table(title="modelled load of one core", title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("share of a core", justify="right", no_wrap=True)
    loads, plan = found.loads, found.placement
    read = loads.bytes_read_per_second
    rows = [
        ("arithmetic", f"{found.macs_per_second / 1e6:.1f} MMAC/s", percent(loads.arithmetic)),
        ("  of it one frame at a time", f"{found.one_frame_macs_per_second / 1e6:.1f} MMAC/s",
         percent(loads.one_frame)),
        ("reading weights", _megabytes(read), percent(loads.reading)),
        ("both together", "", percent(loads.whole)),
        *([("the instrument around the model", "", percent(found.instrument))]
          if found.instrument else []),
        ("busiest callback, all of it" if found.instrument else "busiest callback",
         f"{found.spread.block_samples} samples", percent(found.worst_callback)),
        ("limit", "", f"{100 * found.load_limit:.0f} %"),
        ("latency on the board", f"{found.spread.latency_samples} samples",
         f"{found.latency_ms:.1f} ms"),
        *([("jack to jack, about", "", f"{found.jack_ms:.0f} ms")] if found.jack_ms else []),
        *([("gate to sound, made ahead", f"{found.spread.ahead_samples} samples",
            f"{1000 * found.spread.ahead_samples / found.spread.rate_hz:.1f} ms")]
          if found.spread.ahead_samples else []),
        *([("gate to sound", f"{found.spread.strike_samples} samples", f"{found.strike_ms:.1f} ms")]
          if found.strike_ms else []),
        ("weights", f"{plan.weights_bytes / 1024:.0f} KiB", ""),
        ("file, about", f"{plan.file_bytes / 1024:.0f} KiB", ""),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _memory_table(found: Fit) -> Table:
    board = board_named(found.target)
    table = Table(title="memory plan" if board.placed else "caches", title_justify="left")
    for title in ("memory", "room", "can give", "weights read", "of it", "holds"):
        left = title in ("memory", "holds")
        table.add_column(title, justify="left" if left else "right", no_wrap=title != "holds")
    for memory, traffic in zip(board.memories, found.traffic, strict=True):
        held = [f"{item.what} {item.bytes / 1024:.1f} KiB" for item in found.placement.items
                if item.memory == memory.name and item.bytes]
        read = traffic.bytes_per_second.high > 0
        table.add_row(memory.name, f"{memory.room_bytes // 1024} KiB", _megabytes(memory.reads),
                      _megabytes(traffic.bytes_per_second) if read else "-",
                      percent(traffic.share) if read else "-", ", ".join(held) or "-")
    if board.flash_reads:
        table.add_row("QSPI flash", f"{board.file_bytes // 1024} KiB",
                      _megabytes(board.flash_reads), "-", "-", "the stored file, "
                      f"{found.placement.file_bytes / 1024:.0f} KiB, copied at start")
    return table


def _megabytes(reads: Range) -> str:
    low, high = reads.low / 1e6, reads.high / 1e6
    return f"{low:.0f}-{high:.0f} MB/s" if round(low) < round(high) else f"{high:.0f} MB/s"


def _notes(found: Fit) -> list[str]:
    notes, spread = [], found.spread
    if spread.slices > 1:
        notes.append(f"the work of {spread.call_samples} samples is cut into {spread.slices} "
                     f"slices, {spread.most} in a callback of {spread.block_samples} samples at "
                     f"{spread.rate_hz} Hz")
    if found.instrument:
        notes.append("the instrument (controls, limiter, mix, rate conversion): instructions "
                     "counted in an emulator, cycles for each modelled")
    board, read = board_named(found.target), found.loads.bytes_read_per_second
    if board.flash_reads and read.low > board.flash_reads.high:
        notes.append(f"weights cannot be read from flash while it plays: {_megabytes(read)} are "
                     f"wanted, {_megabytes(board.flash_reads)} are there")
    if found.worst_in_one_piece:
        notes.append(_apart_note(found, found.worst_in_one_piece))
    return notes


def _apart_note(found: Fit, whole: Range) -> str:
    """What it is good for that weights lie apart from their file."""
    apart = ", ".join(f"{item.what} {item.bytes // 1024} KiB in {item.memory}"
                      for item in found.placement.items if item.what.startswith("weights"))
    return (f"the file lies in {_slowest(found)}, and weights that are read most often are copied "
            f"from it: {apart}. Were all read there, the busiest callback would take "
            f"{percent(whole)}")


def _slowest(found: Fit) -> str:
    return next((i.memory for i in found.placement.items if i.what == "model file"), "") or "flash"
