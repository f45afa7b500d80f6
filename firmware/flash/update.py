"""`tudor flash pi --ssh HOST`: a running module gets a new program or models, or keeps its old.

The work is done over there by firmware/pi/update, which is sent along: what is installed may be
older. Only `ssh` and a POSIX shell are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from firmware.flash.deb import read_package
from firmware.flash.pi import read_models
from firmware.host.ssh import Remote

SCRIPT = Path(__file__).parent.parent / "pi" / "update"
APPLY_SECONDS = 180


def update(host: str, package: Path | None, models: list[Path]) -> dict[str, Any]:
    """Brings the files over and lets the module try them; raises with the module's own words when
    it has gone back."""
    if package is None and not models:
        raise ConfigError("nothing to update: give --models, --package or both")
    version = read_package(package).version if package else None
    files, mappings = read_models(models) if models else ({}, {})
    with Remote(host) as remote:
        remote.run(["mkdir", "models"], "cannot be used")
        remote.send("update", SCRIPT.read_bytes(), executable=True)
        if package is not None:
            remote.send("package.deb", package.read_bytes())
        for name, data in {**files, **mappings}.items():
            remote.send(f"models/{name}", data)
        remote.run(["./update", "apply", remote.folder], "not updated", APPLY_SECONDS)
    new = ", ".join([*([f"tudor-module {version}"] if version else []), *files])
    return {"host": host, "package": version, "models": sorted(files),
            "lines": [f"{host}: {new}; plays"]}
