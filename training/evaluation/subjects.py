"""What is scored: a player or a baseline, hearing a sound of any length piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.players.base import Player
from engine.players.host import Host

FloatArray = NDArray[np.float32]
BLOCK_SECONDS = 2.0


class Subject(Protocol):
    """Answers pieces of a sound [channels, samples]; what comes out lines up with what went in,
    but may come later."""

    def begin(self) -> None: ...

    def hear(self, piece: FloatArray) -> FloatArray: ...

    def end(self) -> FloatArray: ...


class Playing:
    """The main method of a player, piece by piece, its delay taken out."""

    def __init__(self, player: Player) -> None:
        self.player = player
        unit = player.description.main.ratio
        self.block = max(1, round(BLOCK_SECONDS * player.sample_rate_hz / unit)) * unit

    def begin(self) -> None:
        """A new sound, from fresh state."""
        self.player.reset()
        self._host = Host(self.player, self.player.description.main.name, self.block)
        self._late = self._skip = self._host.latency_samples
        self._held = np.zeros((self._host.spec.in_channels, 0), np.float32)
        self._owed = 0  # samples that were heard and not answered yet

    def hear(self, piece: FloatArray) -> FloatArray:
        """The next samples; what is ready of the answer."""
        self._owed += piece.shape[1]
        self._held = np.concatenate((self._held, piece), axis=1)
        answers = [np.zeros((self._host.spec.out_channels, 0), np.float32)]
        while self._held.shape[1] >= self.block:
            answer = self._host.process(self._held[:, : self.block])
            self._held = self._held[:, self.block :]
            dropped = min(self._skip, answer.shape[1])
            self._skip -= dropped
            answers.append(answer[:, dropped:])
        found = np.concatenate(answers, axis=1)[:, : self._owed]
        self._owed -= found.shape[1]
        return found

    def end(self) -> FloatArray:
        """The rest of the answer; silence follows the sound."""
        owed = self._owed
        channels, held = self._held.shape
        fill = self._late + -(held + self._late) % self.block
        found = self.hear(np.zeros((channels, fill), np.float32))
        return found[:, :owed]


class Each:
    """A baseline that answers each piece for itself."""

    def __init__(self, answer: Callable[[FloatArray], FloatArray]) -> None:
        self.hear = answer

    def begin(self) -> None:
        """Nothing is carried over."""

    def end(self) -> FloatArray:
        """Nothing is owed."""
        return np.zeros((1, 0), np.float32)


def answered(
    pieces: Iterable[Sequence[FloatArray]], subjects: Mapping[str, Subject]
) -> Iterator[tuple[Sequence[FloatArray], dict[str, FloatArray]]]:
    """One sound: each piece with what every subject makes of it, of the same length, as soon as all
    have answered it in full. A piece is what is heard, and whatever belongs to it."""
    waiting: deque[Sequence[FloatArray]] = deque()
    answers: dict[str, list[FloatArray]] = {name: [] for name in subjects}

    def ready() -> Iterator[tuple[Sequence[FloatArray], dict[str, FloatArray]]]:
        while waiting and all(sum(part.shape[1] for part in parts) >= waiting[0][0].shape[1]
                              for parts in answers.values()):
            piece, found = waiting.popleft(), {}
            size = piece[0].shape[1]
            for name, parts in answers.items():
                whole = np.concatenate(parts, axis=1)
                answers[name] = [whole[:, size:]]
                found[name] = np.ascontiguousarray(whole[:, :size])
            yield piece, found

    for subject in subjects.values():
        subject.begin()
    for piece in pieces:
        waiting.append(piece)
        for name, subject in subjects.items():
            answers[name].append(subject.hear(piece[0]))
        yield from ready()
    for name, subject in subjects.items():
        rest = subject.end()
        answers[name] += [rest] if rest.shape[1] else []
    yield from ready()


def play(player: Player, audio: FloatArray) -> FloatArray:
    """The main method over a whole sound from fresh state, its delay taken out: the same shape."""
    playing = Playing(player)
    playing.begin()
    return np.concatenate((playing.hear(audio), playing.end()), axis=1)
