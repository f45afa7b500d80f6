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
from typing import Any

from engine.errors import ConfigError, TudorError, nearest
from engine.models.store import Stored
from export.verify import Report, verify, weights_hash


@dataclass(frozen=True)
class Target:
    """Something to export to. The module is imported when the target is chosen."""

    suffix: str
    module: str
    writer: str
    dtypes: tuple[str, ...] = ("float32",)

    @property
    def available(self) -> bool:
        """Whether this version has it."""
        return find_spec(self.module) is not None

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the target's module."""
        return getattr(import_module(self.module), name)  # type: ignore[no-any-return]


TARGETS: dict[str, Target] = {
    "nn": Target(".ts", "export.nn", "export_nn"),
    "onnx": Target(".onnx", "export.onnx", "export_onnx"),
    "native": Target(".tudor", "export.native", "export_native"),
}


@dataclass(frozen=True)
class Done:
    """A finished export."""

    files: tuple[Path, ...]
    report: Report
    seconds: float


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


def export_model(stored: Stored, target: Target, out: Path, dtype: str = "float32") -> Done:
    """Write, verify, and only then put in place. Nothing is left behind on failure."""
    started = time.perf_counter()
    model = stored.model
    description = model.describe(stored.name, provenance(stored, dtype))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            draft = Path(folder) / out.name
            target.function(target.writer)(model, draft, description)
            report = verify(draft, model)
            if not report.passed:
                raise TudorError(f"{out} was not written: {failure(report)}")
            figures = {k: v for k, v in report.to_dict().items() if k != "file"}
            target.function("write_description")(
                draft, replace(description,
                               provenance={**description.provenance, "verification": figures}))
            files = tuple(out.with_name(f.name) for f in _by_main(draft))
            for file in files:
                os.replace(Path(folder) / file.name, file)
    except OSError as error:
        raise TudorError(f"cannot write {out}: {error.strerror or error}") from error
    return Done(files, report, time.perf_counter() - started)


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
    worst = max(report.methods.values(), key=lambda m: m.max_abs_error)
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
