"""Every backend, number format and machine in one table: how far each is from PyTorch, and whether
all machines that play a native file play the same bits.

Rows come from the tables of export targets, of their number formats, and of machines that the host
program is built for: what is added there appears here.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, TudorError
from engine.models.store import Stored
from engine.players.native import NativePlayer
from engine.players.native_model import MethodInfo, NativeFile, NativeModel
from engine.players.pytorch import PyTorchPlayer
from export.passages import passages
from export.targets import TARGETS as EXPORTS
from export.targets import Done, export_model
from export.verify import Report, verify
from firmware.host.build import TARGETS, MissingToolError, Target
from firmware.host.play import play

Say = Callable[[str], None]
FloatArray = NDArray[np.float32]
# Besides ref; those of this processor are tried.
ISAS = ("scalar", "avx2", "avx512", "avx512vnni", "neon")
FRAMES_OF_EACH = 6  # loud, quiet, silent, wrong
CHUNKS = (1, 3, 2, 7)  # frames per block, in turn
NO_ROOM = "the board has not enough"


@dataclass(frozen=True)
class Row:
    """One backend, number format and machine. Errors are against offline PyTorch in float32, on
    what verification plays (noise, edges, near silence) over all methods; `audio_snr_db`: of fewer
    bits, on held-out audio, the worst method. `same_bits`: as the plain C reference gives for the
    same file."""

    backend: str
    dtype: str
    target: str
    max_abs_error: float | None = None
    snr_db: float | None = None
    audio_snr_db: float | None = None
    same_bits: bool | None = None
    passed: bool | None = None  # None: not tried here, `note` says why
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; endless ones become null."""
        return {k: None if v in (inf, -inf) else v for k, v in asdict(self).items()}


def parity(
    stored: Stored, say: Say = lambda _: None, calibrate: Path | None = None
) -> Iterator[Row]:
    """All rows for a model, each as soon as it is known. `calibrate`: a folder of audio for number
    formats with fewer bits."""
    say("pytorch")
    yield from _pytorch(stored)
    with TemporaryDirectory(prefix="tudor-parity-") as folder:
        for to, target in EXPORTS.items():
            for dtype in target.dtypes:
                out = Path(folder) / f"{to}-{dtype}{target.suffix}"
                yield from _exported(stored, to, dtype, out, say, calibrate)


def _pytorch(stored: Stored) -> Iterator[Row]:
    report = verify(lambda: PyTorchPlayer(stored.model), stored.model)
    rounding = max((m.float32_error for m in report.methods.values()), default=None)
    here = f"{platform.machine()}, eager"
    yield Row("pytorch", "float64", f"{here}, offline", rounding, passed=rounding is not None,
              note="how far float32 is off by itself")
    yield _row(report, "pytorch", "float32", f"{here}, streamed")


def _exported(stored: Stored, to: str, dtype: str, out: Path, say: Say,
              calibrate: Path | None) -> Iterator[Row]:
    target, here = EXPORTS[to], platform.machine()
    backend = {"nn": "torchscript"}.get(to, to)
    say(f"{backend} {dtype}: exporting")
    try:
        done = export_model(stored, target, out, dtype,
                            calibrate=None if dtype == "float32" else calibrate,
                            tell=lambda text: say(f"{backend} {dtype}: {text}"))
    except TudorError as error:
        yield Row(backend, dtype, "-", passed=False, note=str(error))
        return
    if to != "native":
        yield replace(_row(done.report, backend, dtype, here), audio_snr_db=_on_audio(done))
        return
    for row in _native(done.report, dtype, out, say):
        yield replace(row, audio_snr_db=_on_audio(done) if row.passed else None)


def _on_audio(done: Done) -> float | None:
    """The worst method's ratio of signal to loss on held-out audio; None in float32."""
    methods = done.comparison.methods.values() if done.comparison else ()
    return min((loss.snr_db for loss in methods), default=None)


def _native(report: Report, dtype: str, path: Path, say: Say) -> Iterator[Row]:
    """The reference with its errors; then everyone else's bits."""
    file = NativeFile(path)
    data = path.read_bytes()
    inputs = {name: _short(NativePlayer(path).methods[name]) for name in file.methods}
    reference = NativeModel(file, isa="ref")
    wanted = {name: reference.process(name, x[None])[0] for name, x in inputs.items()}
    machine = platform.machine()
    yield _row(report, "native", dtype, f"{machine} ref", same_bits=True)
    for isa in ISAS:
        try:
            model = NativeModel(file, isa=isa)
        except ConfigError:
            continue
        yield _judged(dtype, f"{machine} {isa}", report, wanted, _chunked(model, inputs))
    for board in TARGETS.values():
        for cpu in board.cpus:
            say(f"native {dtype}: {board.title}, {cpu}")
            yield _emulated(board, cpu, dtype, data, report, inputs, wanted)


def _emulated(board: Target, cpu: str, dtype: str, data: bytes, report: Report,
              inputs: dict[str, FloatArray], wanted: dict[str, FloatArray]) -> Row:
    where = f"{cpu} {board.isas[-1]}, emulated"
    try:
        got = {name: play(board, data, x, method=name, frames=CHUNKS, isa=board.isas[-1],
                          cpu=cpu).audio for name, x in inputs.items()}
    except MissingToolError as error:
        return Row("native", dtype, where, note=str(error))
    except TudorError as error:
        there = None if NO_ROOM in str(error) else False
        return Row("native", dtype, where, passed=there, note=str(error))
    return _judged(dtype, where, report, wanted, got)


def _judged(dtype: str, target: str, report: Report, wanted: dict[str, FloatArray],
            got: dict[str, FloatArray]) -> Row:
    """A row whose errors are the reference's own, because the bits are."""
    same = all(same_bits(got[name], wanted[name]) for name in wanted)
    if not same:
        return Row("native", dtype, target, same_bits=False, passed=False,
                   note="other bits than the plain C reference")
    return _row(report, "native", dtype, target, same_bits=True)


def same_bits(got: FloatArray, wanted: FloatArray) -> bool:
    """Equal in every bit, and not of nothing."""
    return got.shape == wanted.shape and got.size > 0 and np.array_equal(
        np.ascontiguousarray(got).view(np.uint32), np.ascontiguousarray(wanted).view(np.uint32))


def _row(report: Report, backend: str, dtype: str, target: str,
         same_bits: bool | None = None) -> Row:
    lowest = min((m.snr_db for m in report.methods.values()), default=None)
    return Row(backend, dtype, target, report.max_abs_error if report.methods else None, lowest,
               same_bits=same_bits, passed=report.passed, note=report.problem)


def _short(spec: Any) -> FloatArray:
    """Some frames of each kind that verification plays: loud, quiet, silent, and wrong."""
    x = passages(spec)
    quarter, wanted = x.shape[1] // 4, FRAMES_OF_EACH * spec.in_frames
    return np.concatenate([x[:, i * quarter : i * quarter + wanted] for i in range(4)], axis=1)


def _chunked(model: NativeModel, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: _in_chunks(model, model.methods[name], x) for name, x in inputs.items()}


def _in_chunks(model: NativeModel, spec: MethodInfo, x: FloatArray) -> FloatArray:
    """[channels, rows], played in blocks of `CHUNKS` frames."""
    rows, at = spec.frame_samples // spec.in_ratio, 0
    parts: list[FloatArray] = []
    while at < x.shape[1]:
        end = min(at + CHUNKS[len(parts) % len(CHUNKS)] * rows, x.shape[1])
        parts.append(model.process(spec.name, x[None, :, at:end])[0])
        at = end
    return np.concatenate(parts, axis=1)
