"""A small listening test, and what its listeners say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.description import Description
from tests.core.core_build import need
from tests.training.evaluation.judges import judge_helpers
from tests.training.evaluation.judges.judge_helpers import Plays, effect, folder_of, melody
from training.evaluation.judges.case import Case, open_case

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
SCRIPTS = ROOT / "training/evaluation/listening"
RATE = 16000


def sounds(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 3) -> Path:
    """Melodies at 16 kHz, which both anchors can be told from."""
    monkeypatch.setattr(judge_helpers, "RATE", RATE)
    return folder_of(folder, {f"loop_{i}": melody(i) for i in range(count)})


def case_of(gain: float, folder: Path, name: str = "played", rate_hz: int = RATE,
            channels: int = 1, **options: Any) -> Case:
    """Of a model that changes the level and adds a little."""
    def answer(x: np.ndarray, start: int, _: object) -> np.ndarray:
        odd = (start + np.arange(x.shape[1])) % 2
        return gain * x + 0.01 * odd

    player = Plays(answer, effect(channels))
    player.description = Description(name, "none", rate_hz, player.description.methods, {})
    return open_case(player, folder, **{"seconds": 1.0, **options})


def node(*words: object) -> str:
    """What node prints."""
    done = subprocess.run([need("node"), *map(str, words)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer_to(key: dict[str, Any], ratings: dict[str, float], listener: str = "anna",
              seed: int = 1) -> dict[str, Any]:
    """As the page saves it; `ratings` by system, the same in each trial."""
    trials = []
    for trial, row in key["trials"].items():
        names = {name: each["system"] for name, each in row["stimuli"].items()}
        trials.append({"id": trial, "order": list(names), "seconds": 5,
                       "ratings": {name: ratings[system] for name, system in names.items()},
                       "plays": dict.fromkeys(names, 1)})
    return {"format": "tudor listening answer", "version": 1, "test": key["test"],
            "listener": listener, "seed": seed, "trials": trials}


def key_for(systems: dict[str, str], trials: int = 4) -> dict[str, Any]:
    """A key without a page."""
    return {"format": "tudor listening key", "version": 1, "test": "00ff", "rate_hz": RATE,
            "systems": systems, "trials": {
                f"t{i}": {"sound": f"{i}.wav", "start_seconds": 0.0, "stimuli": {
                    f"s{i}{j}": {"system": name, "gain_db": 0.0}
                    for j, name in enumerate(systems)}} for i in range(trials)}}


def written(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return path
