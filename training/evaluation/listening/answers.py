"""What listeners sent, held against the key. Files come from anywhere: each is checked whole before
any of it is used, and what is wrong with it is said in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import shown_name
from engine.errors import ConfigError
from training.evaluation.listening.formats import ANSWER_FORMAT, KEY_FORMAT, KINDS, VERSION

MOST_BYTES = 1 << 20  # an answer of a dozen trials has ten thousand
MOST_KEY_BYTES = 1 << 24
LONGEST_NAME = 60
Ratings = NDArray[np.float64]


@dataclass(frozen=True)
class Key:
    """Which stimulus is which system: `stimuli[trial][name]`."""

    test: str
    systems: dict[str, str]
    stimuli: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Answer:
    """A listener's ratings [trials, systems], in the key's order."""

    listener: str
    seed: int
    ratings: Ratings


class _Wrong(Exception):  # noqa: N818 (never leaves this module)
    """What is wrong with a file."""


def read_key(path: Path) -> Key:
    """A key; an error names the file."""
    try:
        data = _read(path, MOST_KEY_BYTES, "a key")
        if _field(data, "format", str) != KEY_FORMAT:
            raise _Wrong(f"is not a key; wanted the file that tudor evaluate --listen wrote beside "
                         f"the page, with \"format\": \"{KEY_FORMAT}\"")
        _version(data)
        systems = _field(data, "systems", dict)
        if not all(kind in KINDS for kind in systems.values()) or "reference" not in systems:
            raise _Wrong(f"says of each of \"systems\" one of {', '.join(KINDS)}, and names the "
                         "reference; this one does not")
        stimuli = {}
        for trial, row in _field(data, "trials", dict).items():
            if not isinstance(row, dict):
                raise _Wrong(f"trial {_short(trial)} is no object")
            names = {name: _field(_object(each, name), "system", str)
                     for name, each in _field(row, "stimuli", dict).items()}
            if sorted(names.values()) != sorted(systems):
                raise _Wrong(f"trial {_short(trial)} does not have each system once")
            stimuli[trial] = names
        if not stimuli:
            raise _Wrong("has no trials")
        return Key(_field(data, "test", str), systems, stimuli)
    except _Wrong as error:
        raise ConfigError(f"--key {shown_name(path)}: {error}") from None


def read_answers(paths: Sequence[Path], key: Key) -> tuple[list[Answer], list[str]]:
    """The answers that can be used, and a line for each file that cannot. A folder stands for the
    .json files in it."""
    found: list[Answer] = []
    said: list[str] = []
    seen: dict[tuple[str, int], str] = {}
    for path in _files(paths, said):
        name = shown_name(path)
        try:
            answer = _answer(_read(path, MOST_BYTES, "an answer"), key)
            before = seen.setdefault((answer.listener, answer.seed), name)
            if before != name:
                raise _Wrong(f"listener {answer.listener!r} with seed {answer.seed} has answered "
                             f"in {before} already")
        except _Wrong as error:
            said.append(f"{name}: {error}")
        else:
            found.append(answer)
    return found, said


def _files(paths: Sequence[Path], said: list[str]) -> list[Path]:
    """Each file once."""
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            said.append(f"{shown_name(path)}: a folder without .json files")
        for each in inside:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def _answer(data: dict[str, Any], key: Key) -> Answer:
    if _field(data, "format", str) != ANSWER_FORMAT:
        raise _Wrong("is not what a listening test's page saves "
                     f"(\"format\": \"{ANSWER_FORMAT}\")")
    _version(data)
    if _field(data, "test", str) != key.test:
        raise _Wrong(f"answers another page: test {_short(data['test'])}, the key's is "
                     f"{_short(key.test)}")
    listener, seed = _field(data, "listener", str), _field(data, "seed", int)
    if not listener.isprintable() or not 0 < len(listener) <= LONGEST_NAME:
        raise _Wrong(f"\"listener\" is not a name of 1 to {LONGEST_NAME} printable characters")
    if isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise _Wrong("\"seed\" is not a number from 0 to 2^32 - 1")
    rows: dict[str, dict[str, float]] = {}
    for row in _field(data, "trials", list):
        trial = _field(_object(row, "trials"), "id", str)
        if trial not in key.stimuli or trial in rows:
            raise _Wrong(f"trial {_short(trial)} is "
                         f"{'there twice' if trial in rows else 'not in the key'}")
        rows[trial] = _ratings(_field(row, "ratings", dict), trial, key)
    missing = len(key.stimuli) - len(rows)
    if missing:
        raise _Wrong(f"{missing} of {len(key.stimuli)} trials are missing")
    return Answer(listener, seed, np.array([[rows[trial][system] for system in key.systems]
                                            for trial in key.stimuli]))


def _ratings(given: dict[str, Any], trial: str, key: Key) -> dict[str, float]:
    """By system."""
    names = key.stimuli[trial]
    if given.keys() != names.keys():
        odd = sorted(given.keys() ^ names.keys())[0]
        raise _Wrong(f"trial {_short(trial)}: stimulus {_short(odd)} is "
                     f"{'not rated' if odd in names else 'not in the key'}")
    found = {}
    for name, rating in given.items():
        right = isinstance(rating, int | float) and not isinstance(rating, bool)
        if not right or not 0 <= rating <= 100:
            raise _Wrong(f"trial {_short(trial)}: rating {_short(json.dumps(rating))} is not a "
                         "number from 0 to 100")
        found[names[name]] = float(rating)
    return found


def _read(path: Path, most_bytes: int, what: str) -> dict[str, Any]:
    """An object of JSON; nothing that is too large is read, nor what is no file."""
    try:
        if not path.exists():
            raise _Wrong("does not exist")
        if not path.is_file():
            raise _Wrong(f"is not a file; wanted {what}, a .json file")
        with open(path, "rb") as file:
            text = file.read(most_bytes + 1)
    except OSError as error:
        raise _Wrong(error.strerror or "cannot be read") from None
    if len(text) > most_bytes:
        raise _Wrong(f"is larger than {most_bytes >> 20} MB, which {what} never is")
    try:
        data = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else (
            f"is not JSON: {_short(str(error))}")
        raise _Wrong(reason) from None
    return _object(data, "it")


def _no_number(text: str) -> float:
    raise _Wrong(f"holds {text}, which is not a number")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"is not an object of JSON ({_short(where)})")
    return value


def _field(data: dict[str, Any], name: str, kind: type) -> Any:
    if not isinstance(data.get(name), kind):
        state = "is missing" if name not in data else "is of the wrong kind"
        raise _Wrong(f"\"{name}\" {state}")
    return data[name]


def _version(data: dict[str, Any]) -> None:
    version = data.get("version")
    if version != VERSION or isinstance(version, bool | float):
        raise _Wrong(f"is of version {_short(json.dumps(version))}, this program reads {VERSION}")


def _short(text: str) -> str:
    """Part of a strange file, fit to be printed in a line."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= 60 else f"{plain[:57]}..."
