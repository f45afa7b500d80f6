"""The test as a folder that any web server hosts and any browser opens from the disk.

    page/index.html, *.js           the page: it needs nothing from elsewhere
    page/sounds/NAME.wav            the stimuli; names are random and say nothing
    page/sounds/NAME.js             the same, for pages opened from the disk may not read files
    page.key.json                   beside the folder: which name is which system. Not to be hosted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import soundfile

from engine.errors import ConfigError, TudorError
from engine.files import atomic_write
from training.evaluation.listening.compose import ListeningTest, Trial
from training.evaluation.listening.formats import KEY_FORMAT, REFERENCE, TEST_FORMAT, VERSION

HERE = Path(__file__).parent
MARK = "__TEST__"
SCRIPTS = ("listening.js", "page.js")


def key_of(folder: Path) -> Path:
    """Where the key stands: beside the folder, for whoever hosts the folder hosts all in it."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}.key.json")


def refuse_taken(folder: Path) -> None:
    """Answers to a page are worth nothing without its key: neither is ever overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--listen {folder}: exists and is not empty; name a new folder")
    if key_of(folder).exists():
        raise ConfigError(f"--listen {folder}: {key_of(folder)} is the key of an earlier page; "
                          "name another folder, or move the key")


def write_test(test: ListeningTest, folder: Path) -> Path:
    """The page, whole or not at all, and its key. Returns the key's path."""
    refuse_taken(folder)
    key_path, whole = key_of(folder), folder.resolve()
    partial = whole.with_name(f".{whole.name}.{os.getpid()}.partial")
    try:
        (partial / "sounds").mkdir(parents=True)
        practice, *trials = [_write_trial(trial, test.rate_hz, partial / "sounds")
                             for trial in (test.practice, *test.trials)]
        identity = _fingerprint(partial / "sounds")
        shown = {"format": TEST_FORMAT, "version": VERSION, "id": identity,
                 "practice": _shown(practice), "trials": sorted(map(_shown, trials),
                                                                key=lambda row: row["id"])}
        text = (HERE / "index.html").read_text("utf-8").replace(MARK, json.dumps(shown))
        (partial / "index.html").write_text(text, "utf-8")
        for name in SCRIPTS:
            shutil.copyfile(HERE / name, partial / name)
        key = {"format": KEY_FORMAT, "version": VERSION, "test": identity,
               "rate_hz": test.rate_hz, "systems": test.systems,
               "trials": {row["id"]: row["key"] for row in trials}}
        with atomic_write(key_path) as temporary:
            temporary.write_text(json.dumps(key, indent=2) + "\n", "utf-8")
        _one_time(partial)
        if whole.exists():
            whole.rmdir()
        partial.rename(whole)
    except OSError as error:
        raise TudorError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return key_path


def _write_trial(trial: Trial, rate_hz: int, folder: Path) -> dict[str, Any]:
    """Its files; what the page shows of it, and what the key says."""
    def write(system: str) -> str:
        name = secrets.token_hex(8)
        path = folder / f"{name}.wav"
        soundfile.write(path, trial.stimuli[system].T, rate_hz, subtype="PCM_16")
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        (folder / f"{name}.js").write_text(f'listeningSound("{name}","{text}");\n', "ascii")
        return name

    names = {write(system): system for system in trial.stimuli}
    return {"id": secrets.token_hex(8), "reference": write(REFERENCE), "stimuli": sorted(names),
            "key": {"sound": trial.sound, "start_seconds": round(trial.start_seconds, 3),
                    "stimuli": {name: {"system": system,
                                       "gain_db": round(trial.gains_db[system], 2)}
                                for name, system in names.items()}}}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "reference", "stimuli")}


def _one_time(folder: Path) -> None:
    """Servers tell when a file was written, and the systems were written in order."""
    now = int(time.time())
    for path in folder.rglob("*"):
        os.utime(path, (now, now))


def _fingerprint(folder: Path) -> str:
    """Of all stimuli, names and samples: answers to another page are told by it."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.wav")):
        found.update(path.name.encode("ascii") + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:32]
