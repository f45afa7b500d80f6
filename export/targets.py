"""The table of export targets, and the one way to any of them.

    write into a folder of its own -> stream and compare -> write the figures in -> move into place

A new target is a file that offers `export_X`, `read_description` and `write_description`, and one
row below.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, TudorError, nearest
from engine.models.store import Stored
from engine.scores.loops import plays_loops
from export.threads import one_thread
from export.verify import Report, verify, weights_hash

if TYPE_CHECKING:
    from engine.description import Description
    from engine.models.base import Model
    from export.quantise.calibration import Request
    from export.quantise.comparison import Comparison


@dataclass(frozen=True)
class Target:
    """Something to export to. The module is imported when the target is chosen."""

    suffix: str
    module: str
    writer: str
    dtypes: tuple[str, ...] = ("float32",)
    quantised: str = ""  # module whose `export_quantised` writes the other dtypes
    patches: str = ""  # module whose `write_patches` writes what opens the file in its program

    @property
    def available(self) -> bool:
        """Whether this version has it."""
        return find_spec(self.module) is not None

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the target's module."""
        return getattr(import_module(self.module), name)  # type: ignore[no-any-return]


TARGETS: dict[str, Target] = {
    "nn": Target(".ts", "export.nn.export", "export_nn", patches="export.nn.patch"),
    "onnx": Target(".onnx", "export.onnx.export", "export_onnx", ("float32", "int8"),
                   "export.onnx.int8"),
    "native": Target(".tudor", "export.native.export", "export_native",
                     ("float32", "bf16w", "q16x8"), "export.quantise.export"),
}


@dataclass(frozen=True)
class Done:
    """A finished export."""

    files: tuple[Path, ...]
    report: Report
    seconds: float
    comparison: Comparison | None = None  # with float32, where numbers have fewer bits


def check(to: str, out: Path, dtype: str = "float32") -> Target:
    """The target called `to`, if it can write `out`; errors say what would be right."""
    if to not in TARGETS:
        raise ConfigError(f"unknown target --to {to}{nearest(to, TARGETS)}")
    target = TARGETS[to]
    if out.suffix != target.suffix:
        raise ConfigError(f"--to {to} writes {target.suffix} files: name --out "
                          f"{out.with_suffix(target.suffix).name}, not {out.name}")
    if not target.available:
        raise TudorError(f"--to {to} is not there yet in this version; use "
                         f"{' or '.join(k for k, t in TARGETS.items() if t.available)}")
    if dtype not in target.dtypes:
        raise ConfigError(f"--to {to} writes {', '.join(target.dtypes)}, not {dtype!r}")
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file in it")
    return target


@one_thread()
def export_model(
    stored: Stored, target: Target, out: Path, dtype: str = "float32",
    calibrate: Path | None = None, keep: tuple[str, ...] = (),
    tell: Callable[[str], None] = lambda _: None, patches: bool = True,
    host_rate_hz: int | None = None,
) -> Done:
    """Write, verify, and only then put in place. Nothing is left behind on failure.

    `calibrate`: a folder of audio for dtypes with fewer bits; `keep`: layers that they spare;
    `patches`: also write those that open the file, where the target has some;
    `host_rate_hz`: the rate that it is played at, where the target can resample inside."""
    started = time.perf_counter()
    model = stored.model
    if dtype == "float32" and (calibrate or keep):
        raise ConfigError("--calibrate and --keep are for dtypes with fewer bits than float32; "
                          f"this target has {', '.join(target.dtypes)}")
    request = None if dtype == "float32" else _request(stored, dtype, calibrate, keep, tell)
    played = model
    if host_rate_hz is not None:
        if not target.patches:
            raise ConfigError("--host-rate is for --to nn: other hosts resample by themselves")
        from export.nn.host_rate import at_host_rate

        played = at_host_rate(model, host_rate_hz)
    description = played.describe(stored.name, provenance(stored, dtype))
    comparison = None
    folder = ""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            draft = Path(folder) / out.name
            if request is None:
                target.function(target.writer)(played, draft, description)
            else:
                comparison = _write_quantised(model, target, draft, description, request)
                description = _noted(description, quantisation=comparison.to_dict(layers=False))
                target.function("write_description")(draft, description)
            tell(f"verifying {out.name}")
            report = verify(draft, model)
            if not report.passed:
                raise TudorError(f"{out} was not written: {failure(report)}")
            figures = {k: v for k, v in report.to_dict().items() if k != "file"}
            target.function("write_description")(draft, _noted(description, verification=figures))
            if patches and target.patches:
                import_module(target.patches).write_patches(draft, description)
            files = tuple(out.with_name(f.name) for f in _by_main(draft))
            for file in files:
                os.replace(Path(folder) / file.name, file)
    except OSError as error:
        raise TudorError(f"cannot write {out}: {error.strerror or error}") from error
    except TudorError as error:
        raise type(error)(_of_draft(str(error), Path(folder), out.parent)) from error
    return Done(files, report, time.perf_counter() - started, comparison)


def _of_draft(message: str, folder: Path, final: Path) -> str:
    """`message` with drafts in `folder` named after where they were to go."""
    if folder == Path():
        return message
    return message.replace(f"{folder}{os.sep}", "" if final == Path() else f"{final}{os.sep}")


def _noted(description: Description, **facts: Any) -> Description:
    return replace(description, provenance={**description.provenance, **facts})


def _request(stored: Stored, dtype: str, calibrate: Path | None, keep: tuple[str, ...],
             tell: Callable[[str], None]) -> Request:
    """The audio to calibrate and compare with; bf16w needs it for the comparison alone."""
    from export.quantise.calibration import Request, generated, material, synthesised
    from export.quantise.drawn import hearing

    heard = hearing(stored.model)
    if heard is None:
        return Request(dtype, generated(stored.model, calibrate), keep, tell)
    rate, channels = stored.model.sample_rate_hz, heard.in_channels
    loops = any(plays_loops(spec.input_labels) for spec in stored.model.methods.values())
    tell("reading audio")
    try:
        audio = material(stored.name, stored.settings, calibrate, rate, channels, loops)
    except ConfigError:
        if dtype != "bf16w":
            raise
        audio = synthesised(rate, channels)
    return Request(dtype, audio, keep, tell)


def _write_quantised(model: Model, target: Target, draft: Path, description: Description,
                     request: Request) -> Comparison:
    """The file, and beside it the picture of its noise, if there is matplotlib to draw it."""
    writer = import_module(target.quantised).export_quantised
    comparison: Comparison = writer(model, draft, description, request)
    if find_spec("matplotlib") is not None:
        from export.quantise.noise_plot import plot_noise

        plot_noise(draft.with_name(f"{draft.stem}.noise.png"),
                   f"{description.name}, {request.dtype} against float32, held-out audio",
                   model.sample_rate_hz, model.methods, comparison.exact, comparison.played)
    return comparison


def provenance(stored: Stored, dtype: str) -> dict[str, Any]:
    """Where an exported file comes from; part of its metadata."""
    return {
        "tudor_version": version(),
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": stored.name,
        "trained": stored.trained,
        "weights_sha256": weights_hash(stored.model),
        "dtype": dtype,
    }


def version() -> str:
    """Version of the installed distribution."""
    try:
        return metadata.version("nn-tudor")
    except metadata.PackageNotFoundError:
        return "unknown"


def failure(report: Report) -> str:
    """Why a report did not pass, in one line."""
    if report.problem:
        return report.problem
    poor = min(report.methods.values(), key=lambda m: m.snr_db)
    if poor.snr_db < report.least_snr_db:
        return (f"{poor.method} has an SNR of {poor.snr_db:.1f} dB against PyTorch, less than "
                f"{report.least_snr_db:g} dB")
    uneven = [m.method for m in report.methods.values() if not m.consistent]
    if uneven:
        return f"{uneven[0]} gives other numbers in small blocks than in one"
    worst = max(report.methods.values(), key=lambda m: m.max_abs_error)
    if worst.draws:
        missed = (f"one by {worst.max_abs_error:.2g}" if report.dtype == "float32" else
                  f"them by {worst.mean_miss:.2g} on average")
        return (f"{worst.method} draws other samples than PyTorch: {worst.same_draws} of "
                f"{worst.draws} are the same, the noise missed {missed}")
    if worst.max_abs_error <= report.tolerance:
        worst = max(report.methods.values(), key=lambda m: m.guarded_error)
        return (f"{worst.method} differs from PyTorch by {worst.guarded_error:.2g} where the input "
                "holds NaN, infinity or 1e30: it is not cleaned as it should be")
    return (f"{worst.method} differs from PyTorch by {worst.max_abs_error:.2g} "
            f"(SNR {worst.snr_db:.1f} dB), more than {report.tolerance:g}")


def _by_main(draft: Path) -> list[Path]:
    """Files that the export wrote, the one that was asked for last: with it the set is whole."""
    others = sorted(f for f in draft.parent.iterdir() if f != draft)
    return [*others, draft]
