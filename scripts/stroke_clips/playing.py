"""Whole clips as strokes that a gate triggers, so that the judge of such voices hears them.

    gate -> what is asked for, z -> clip -> log-magnitudes of all bins -> Griffin-Lim -> sound

A clip is made as a whole when its gate comes; where it is heard as late as the voice of frames is,
`fft` samples, a machine is meant that needs no time for that. What rings when another gate comes
is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import griffinlim

from engine.description import GENERATE, Attribute, Description, Method
from engine.layers.noise import SEED
from engine.models.frames import SILENT
from engine.models.registry import build
from engine.models.spectrogram_gan import OPENING_S, OPENINGS
from engine.models.spectrogram_gan_config import ATTRIBUTES
from engine.players.base import FloatArray, Player
from engine.scores.strokes import VELOCITY
from scripts.stroke_clips.model import StrokeClip
from training.evaluation.judges.case import Case
from training.evaluation.stroke_play import MAGNITUDES
from training.objectives.frame_spectra import FLOOR

ROUNDS = 32  # of Griffin-Lim, with torchaudio's momentum (Perraudin et al. 2013)


@dataclass
class _Playing:
    """Of a method: whether gates are open, what is still to come of clips, strokes so far."""

    gate: NDArray[np.bool_]  # [batch]
    left: FloatArray  # [batch, channels, steps]
    strokes: NDArray[np.int64]  # [batch]


class _Stream:
    """State of both methods."""

    methods: dict[str, _Playing]


class ClipPlayer(Player):
    """Methods of a voice of frames: `generate` audio, `magnitudes` what becomes audio. Another seed
    makes other strokes, and so do other streams."""

    backend: ClassVar[str] = "pytorch"

    def __init__(self, model: StrokeClip, batch: int = 1, name: str = "clip") -> None:
        self.model, self.shape = model.eval(), model.config
        labels, hop = self.shape.labels, self.shape.hop
        said = (*self.shape.bin_labels, *OPENINGS)
        methods = {
            GENERATE: Method(GENERATE, len(labels), hop, 1, 1, labels, ("audio",),
                              self.shape.fft, np.inf, role=GENERATE),
            MAGNITUDES: Method(MAGNITUDES, len(labels), hop, len(said), hop, labels, said,
                               role=GENERATE)}
        attributes: dict[str, Attribute] = {each.name: each for each in ATTRIBUTES
                                            if each.name == SEED}
        super().__init__(Description(name, model.family, self.shape.sample_rate_hz, methods,
                                     attributes, self.shape.model_dump(mode="json")), None, batch)

    def _run(self, method: Method, x: FloatArray, state: _Stream) -> FloatArray:
        own, each = state.methods[method.name], self.shape.hop // method.out_ratio
        rest = _nothing(method, self.batch, x.shape[2] * each)
        heard = np.concatenate((own.left, rest), axis=2)
        gate = x[:, 0] > 0.5
        rising = gate & ~np.concatenate((own.gate[:, None], gate[:, :-1]), axis=1)
        for row in np.flatnonzero(rising.any(axis=0)):
            struck = np.flatnonzero(rising[:, row])
            clips = self._clips(method, x[struck, :, row], struck, own.strokes)
            # What rings is cut off: no clip ends after one that begins later.
            heard[struck, :, row * each : row * each + clips.shape[2]] = clips
            own.strokes[struck] += 1
        own.gate, count = gate[:, -1], x.shape[2] * each
        own.left = heard[:, :, count:]
        return np.ascontiguousarray(heard[:, :, :count])

    @torch.inference_mode()
    def _clips(self, method: Method, rows: FloatArray, streams: NDArray[np.int64],
               strokes: NDArray[np.int64]) -> FloatArray:
        """Whole clips [streams, channels, steps] of conditions `rows` [streams, labels]."""
        z = [np.random.default_rng((int(self.get(SEED, int(at))[0]), int(at), int(strokes[at])))
             .standard_normal(self.shape.z) for at in streams]
        asked = torch.from_numpy(np.ascontiguousarray(rows))
        made = self.model.made(torch.tensor(np.stack(z), dtype=torch.float32),
                               self.model.told(asked))
        loud = asked[:, 1 + self.shape.asked.index(VELOCITY), None, None].clamp_min(1e-6)
        said = self.model.nepers(made) + loud.log()  # [streams, bins, frames]
        if method.name == MAGNITUDES:
            doors = torch.zeros(len(said), len(OPENINGS), said.shape[2])
            return torch.cat((said, torch.full_like(said, SILENT), doors), dim=1).numpy()
        return self._sound(said)[:, None].numpy()

    def _sound(self, said: Tensor) -> Tensor:
        """Audio [streams, samples] of log-magnitudes, `fft` samples late."""
        fft, hop = self.shape.fft, self.shape.hop
        window = torch.hann_window(fft)
        # A frame of silence behind the last, whose middle would else be the end.
        magnitudes = F.pad((said.exp() - FLOOR).clamp_min(0) * window.sum(), (0, 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            audio: Tensor = griffinlim(magnitudes, window, fft, hop, fft, 1.0, ROUNDS, 0.99,
                                       said.shape[2] * hop, True)
        # The middle of frame 0, of which the stroke is the last hop, lies at the first sample.
        # What would sound ahead of the onset must not, as in the voice of frames.
        rise = (torch.arange(audio.shape[1]) - (fft // 2 - hop)) / (
            OPENING_S * self.sample_rate_hz)
        late = audio.new_zeros(len(audio), fft // 2 + hop)
        return torch.cat((late, audio * rise.clamp(0, 1)), dim=1)

    def _new_state(self) -> _Stream:
        state = _Stream()
        self._reset(state)
        return state

    def _reset(self, state: _Stream) -> None:
        state.methods = {name: _Playing(
            np.zeros(self.batch, np.bool_), _nothing(method, self.batch, self._steps(method)),
            np.zeros(self.batch, np.int64)) for name, method in self.methods.items()}

    def _steps(self, method: Method) -> int:
        """Of a clip, with what it is late by."""
        frames = self.shape.frames
        if method.name == MAGNITUDES:
            return frames
        return frames * self.shape.hop + self.shape.fft // 2 + self.shape.hop

    def _apply(self, state: _Stream, name: str, value: FloatArray) -> None:
        """The seed is looked up when a clip is made."""


def _nothing(method: Method, batch: int, steps: int) -> FloatArray:
    """Silence, or what is said of it."""
    level = SILENT if method.name == MAGNITUDES else 0.0
    return np.full((batch, method.out_channels, steps), level, np.float32)


class ClipCase(Case):
    """A generator of clips to be judged."""

    player: ClipPlayer

    def streams(self, count: int) -> Player:
        return ClipPlayer(self.player.model, count)

    def untrained_streams(self, count: int) -> Player | None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            fresh = build(self.player.model.family, self.player.shape)
        assert isinstance(fresh, StrokeClip)
        return ClipPlayer(fresh, count)


class KeptClips(StrokeClip):
    """Clips [clips, bands, frames] of recorded strokes, as if a generator had made them: what is
    lost by the bands and by Griffin-Lim alone. `asked` [clips, told]: what each is."""

    def keep(self, clips: Tensor, asked: Tensor) -> None:
        self.clips, self.asked = clips, asked

    def made(self, z: Tensor, told: Tensor) -> Tensor:
        """z chooses among those that were asked for, each alike often."""
        near = self.asked @ told.T == (self.asked @ told.T).max(dim=0).values
        share = torch.special.ndtr(z[:, 0])
        found = []
        for column, at in zip(near.T, share, strict=True):
            places = torch.where(column)[0]
            found.append(self.clips[places[min(int(at * len(places)), len(places) - 1)]])
        return torch.stack(found)
