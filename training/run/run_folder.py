"""A run directory on disk.

    config.toml          everything that was decided: [model], [training], [data]
    model.safetensors    averaged weights, written at every checkpoint
    metrics.jsonl        one line per logged step and per validation
    skipped.txt          files of the data folder that are not used, with the reason
    held_out.json        files, or ends of files, that are validated with
    checkpoints/last.ckpt    all that is needed to go on: weights, average, optimiser, step, time
    tensorboard/, cache/, .lock
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w
import torch

from engine.audio import shown_name
from engine.errors import ConfigError, TudorError
from engine.files import CONFIG_FILE, WEIGHTS_FILE, atomic_write
from engine.models.store import read_settings
from training.data.audio_folder import Skipped, Source
from training.data.cache import INDEX
from training.run.config import RunConfig, absent, differences

CHECKPOINT_VERSION = 1


@dataclass
class Checkpoint:
    """A moment of a run. Only tensors, numbers and containers: it loads without pickled code."""

    step: int
    seconds: float
    model: dict[str, Any]
    average: dict[str, Any]
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    adversary: dict[str, Any] | None = None  # discriminators and their optimiser

    def training(self) -> dict[str, Any]:
        """What the objective had put into it."""
        return {"objective": self.objective, "optimizer": self.optimizer,
                "adversary": self.adversary}


class RunFolder:
    """Paths of a run and the reading and writing of its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG_FILE
        self.weights = path / WEIGHTS_FILE
        self.metrics = path / "metrics.jsonl"
        self.skipped = path / "skipped.txt"
        self.checkpoint = path / "checkpoints" / "last.ckpt"
        self.tensorboard = path / "tensorboard"
        self.cache = path / "cache"

    def taken_up(self, run: RunConfig) -> tuple[RunConfig, str | None]:
        """`run` as it goes on here: a run that was begun before there was a key learns as it has
        done, which a line says."""
        if not (self.config.exists() and self.checkpoint.exists()):
            return run, None
        kept = absent(run, read_settings(self.config).get("training", {}))
        changed = {key: value for key, value in kept.items()
                   if getattr(run.training, key) != value}
        if not changed:
            return run, None
        said = ", ".join(f"training.{key}={value:g}" for key, value in changed.items())
        return (replace(run, training=run.training.model_copy(update=changed)),
                f"{self.path} was begun by an earlier version and goes on as it was: {said}")

    def open(self, run: RunConfig, sources: Sequence[Source] = ()) -> str | None:
        """Create the directory, or check that it belongs to this very run. Its `sources` may lie
        elsewhere by now: a line that says so."""
        moved = None
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file; --out wants a folder for the run")
        if self.config.exists():
            before, now = read_settings(self.config), run.settings()
            trained = before.get("training", {})
            before["training"] = {**absent(run, trained), **trained}
            old, new = (settings.get("data", {}).get("folder") for settings in (before, now))
            other = self._other_file(sources)
            if old != new and other is None:
                before["data"] = now["data"]
                moved = f"the {len(sources)} files of {old} are now in {new}"
            changed = differences(before, now)
            if old != new and other:
                changed.append(other)
            if changed and self.checkpoint.exists():
                raise ConfigError(
                    f"{self.path} holds a run with other settings ({'; '.join(changed)}); "
                    "choose another --out, or give the same settings to resume it"
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TudorError(f"cannot create {self.path}: {error.strerror}") from None
        return moved

    def _other_file(self, sources: Sequence[Source]) -> str | None:
        """Why `sources` are not the files that the run has trained on, by name and size: the first
        that differs. None where they are the same."""
        try:
            entries = json.loads((self.cache / INDEX).read_text("utf-8"))["entries"]
            known = {entry["name"]: entry["size_bytes"] for entry in entries}
        except (OSError, ValueError, KeyError, TypeError):
            return "and cache/index.json, which knows the files of the run, cannot be read"
        here = {source.name: source.size_bytes for source in sources}
        for name in sorted({*known, *here}):
            if known.get(name) != here.get(name):
                fate = ("is not there" if name not in here
                        else "is new" if name not in known else "is another file")
                return f"{shown_name(name)} {fate}"
        return None

    def write_config(self, run: RunConfig) -> None:
        """The resolved configuration."""
        with atomic_write(self.config) as temporary:
            temporary.write_text(tomli_w.dumps(run.settings()), "utf-8")

    def write_skipped(self, skipped: list[Skipped]) -> None:
        """The names and reasons of unused files."""
        text = "".join(f"{item}\n" for item in skipped)
        with atomic_write(self.skipped) as temporary:
            temporary.write_text(text, "utf-8")

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint, whole or not at all."""
        data = {"version": CHECKPOINT_VERSION, **checkpoint.__dict__}
        buffer = io.BytesIO()  # torch's own writer hides why a disk refused
        torch.save(data, buffer)
        try:
            with atomic_write(self.checkpoint) as temporary:
                temporary.write_bytes(buffer.getbuffer())
        except TudorError as error:
            raise self._not_saved(error) from None

    def _not_saved(self, error: TudorError) -> TudorError:
        kept = ("; the one before is intact, the same command resumes from it once there is room"
                if self.checkpoint.exists() else "")
        return TudorError(f"{error}{kept}")

    def load(self, device: str = "cpu") -> Checkpoint | None:
        """The last checkpoint, None before the first."""
        if not self.checkpoint.exists():
            return None
        try:
            data = torch.load(self.checkpoint, map_location=device, weights_only=True)
            version = data.pop("version")
            if version != CHECKPOINT_VERSION:
                raise ConfigError(f"{self.checkpoint}: version {version} is not known here")
            return Checkpoint(**data)
        except (RuntimeError, KeyError, TypeError, AttributeError, EOFError, OSError, ValueError,
                pickle.UnpicklingError) as error:
            reason = str(error).split("\n")[0]
            raise ConfigError(
                f"{self.checkpoint} is not a readable checkpoint ({reason}); delete it to start "
                "this run afresh"
            ) from None

    def cut_metrics(self, step: int) -> None:
        """Forget what was logged after `step`: a resumed run logs it again."""
        if not self.metrics.exists():
            return
        kept = [line for line in self.metrics.read_text("utf-8").splitlines(keepends=True)
                if _step_of(line) <= step]
        with atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(kept), "utf-8")


def _step_of(line: str) -> float:
    """Step of a metrics line; a line that was cut short by a kill belongs to no step."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")
