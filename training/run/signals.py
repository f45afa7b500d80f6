"""Ctrl-C, and the SIGTERM by which systems end programs: a run that hears either is saved first."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Signals:
    """Remembers the first signal and lets the second one end the process at once.

    As a context it puts the handlers back that were there before; `install` sets its own. Outside
    the main thread, where Python allows no handlers, it hears nothing."""

    def __init__(self) -> None:
        self.heard: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        self._before = {number: signal.getsignal(number) for number in NAMES}
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self._before)

    def install(self) -> None:
        """Listen from here on."""
        self._set(dict.fromkeys(NAMES, self._hear))

    @staticmethod
    def _set(handlers: dict[signal.Signals, Any]) -> None:
        for number, handler in handlers.items():
            try:
                signal.signal(number, handler)
            except ValueError:  # not the main thread
                return

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.heard is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.heard = signal.Signals(number)
        # Not by `print`: a handler may interrupt a write to the same stream.
        os.write(2, f"\n{NAMES[self.heard]}: saving after this step; once more ends at once\n"
                    .encode())


def outlive_first_signal(_: int) -> None:
    """For a loader's process, which hears what is sent to the whole group: it must make batches
    until the run is saved, so it leaves at the second signal."""
    heard: list[int] = []

    def hear(number: int, _: FrameType | None) -> None:
        if heard:
            os._exit(128 + number)
        heard.append(number)

    for number in NAMES:
        signal.signal(number, hear)
