"""Writes NAME.DTYPE.tudor beside each preset whose card names a `dtype` other than float32: what
its board plays.

    python scripts/quantised.py            those that are made of other weights, or lacking
    python scripts/quantised.py NAME ...   these, whatever is there
    python scripts/quantised.py --check    makes all anew and exits with 1 if one is another file

Each is what `tudor export NAME --to native --dtype DTYPE --keep auto` gives, on one thread:
calibrated with the audio that docs/quantisation.md names for presets, which is synthesised from
seeds, or with what the preset itself draws. So the same weights give the same file, but for the day
that it was made on.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.presets import preset_path, shipped_names, shipped_native
from scripts.preset_measure import card_of

KEEP = ("auto",)


def wanted() -> dict[str, str]:
    """Presets that ship in another number format than float32 too, and which."""
    formats = {name: card_of(name)["dtype"] for name in shipped_names()}
    return {name: dtype for name, dtype in formats.items() if dtype != "float32"}


def ready(name: str, dtype: str) -> Path:
    """The preset's file in that format, made if it is lacking or of other weights."""
    native, there = shipped_native(name), shipped_native(name, dtype)
    assert native is not None, f"{name} ships no weights"
    if there is not None and _weights(there) == _weights(native):
        return there
    return write(name, dtype, preset_path(name).with_name(f"{name}.{dtype}.tudor"))


def write(name: str, dtype: str, out: Path) -> Path:
    """Export the preset to `out`, and nothing beside it."""
    import torch

    from engine.models.store import load_model
    from export.targets import TARGETS, export_model

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".quantised-") as folder:
        draft = Path(folder) / out.name
        export_model(load_model(name), TARGETS["native"], draft, dtype, None, KEEP,
                     lambda text: print(f"{name}: {text}", flush=True))
        os.replace(draft, out)
    return out


def played(path: Path) -> tuple[bytes, dict[str, Any]]:
    """All of a file but where and when it was made: its weights and operations, its description."""
    from engine.players.native_model import NativeFile
    from export.native.export import with_metadata

    told = json.loads(NativeFile(path).metadata)
    told.pop("provenance")
    return with_metadata(path.read_bytes(), "{}"), told


def _weights(path: Path) -> str:
    """Of which weights a file was made."""
    from engine.players.native_model import NativeFile

    return str(json.loads(NativeFile(path).metadata)["provenance"]["weights_sha256"])


def check() -> None:
    """Every file is what its weights give now."""
    other = []
    for name, dtype in wanted().items():
        there = shipped_native(name, dtype)
        with tempfile.TemporaryDirectory() as folder:
            again = write(name, dtype, Path(folder) / f"{name}.tudor")
            if there is None or played(again) != played(there):
                other.append(f"{name}.{dtype}.tudor")
    if other:
        raise SystemExit(f"{', '.join(other)}: not what the weights give now; run "
                         "python scripts/quantised.py")


def main() -> None:
    names, formats = sys.argv[1:], wanted()
    if names == ["--check"]:
        check()
        return
    if unknown := set(names) - set(formats):
        raise SystemExit(f"{', '.join(sorted(unknown))}: wants --check, or presets whose card has "
                         f"another dtype than float32: {', '.join(formats)}")
    for name in names:
        write(name, formats[name], preset_path(name).with_name(f"{name}.{formats[name]}.tudor"))
    for name, dtype in formats.items():
        if name not in names:
            ready(name, dtype)


if __name__ == "__main__":
    main()
