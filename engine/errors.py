"""Errors that are the user's to mend. Commands print them in one line and exit with 1."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TudorError(Exception):
    """Base: the message says which file or key, what was wrong and what would be right."""


class ConfigError(TudorError):
    """A configuration that cannot be used."""


class ModelFileError(TudorError):
    """A model file that is damaged, foreign, or made for something else."""


class AudioError(TudorError):
    """Audio that cannot be read, written or used."""


class Stopped(KeyboardInterrupt):
    """Ended by Ctrl-C or another signal, once what was worth keeping was written; the message says
    where. A caller that does several things stops, as at any Ctrl-C."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean X?' or the list of what there is, to end an error message with."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
