"""Notes of a voice that makes frames: its tone is harmonics of the pitch that is asked for, and a
note falls silent when its gate closes.

    pitch ------------------------------------------------> harmonics -.
    net's tone: an envelope over frequency ------------------^          +-> audio
    net's noise --------------------------------> resynth -------------'
    gate -> open, or since when it is closed -> nepers taken from both; none left: nothing sounds

Bins of 31 Hz do not tell notes of a contrabass apart, and phases that are integrated from peaks
wander. Harmonics of a pitch that is said are exact (after Engel et al. 2020, "DDSP"). The pitch is
heard at every frame, also while a note is held: glides and vibrato are the player's.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch

from engine.layers import (
    Channels,
    Embed,
    Fixed,
    FixedEach,
    Harmonics,
    Note,
    Parallel,
    Resynth,
    Sequence,
    Streaming,
)
from engine.models.frames import SILENT

if TYPE_CHECKING:
    from engine.models.spectrogram_gan_config import SpectrogramGANConfig

PITCHED = ("pitch", "sounding")  # what stands behind magnitudes and openings
GATE_AT, PITCH_AT = 0, 2  # among inputs: gate, velocity, pitch
FULL = 1000.0  # a velocity above half of its inverse sounds
ENTERS = (0.0, 1.0)  # Hz over which harmonics come in: from the lowest on
SOUNDING = (0.0, 0.05)  # share of the way from silence, over which harmonics come in


def followed(inputs: int, release: int) -> Streaming:
    """All inputs -> pitch; nepers that a closed gate has taken, over `release` frames."""
    closed = Sequence(Channels(inputs, GATE_AT, GATE_AT + 1),
                      Embed(2, 1, torch.tensor([[1.0], [0.0]])))
    ramp = torch.linspace(0, SILENT, release + 1)[:, None]
    since = Sequence(
        Channels(inputs, GATE_AT, GATE_AT + 1),
        Fixed(torch.tensor([[[-1.0]], [[0.0]]]), torch.tensor([1.0, 0.0])),  # closed: a gate opens
        Note(1), Channels(2, 1, 2), Embed(release + 1, 1, ramp))
    return Parallel(Channels(inputs, PITCH_AT, PITCH_AT + 1),
                    Parallel(closed, since, combine="product"), combine="concat")


def faded(wide: int) -> Streaming:
    """What strokes tell, velocity first and `followed` last -> nepers that are taken: of the gate,
    and all of them where no note has begun yet, whose velocity is 0."""
    begun = torch.tensor([[SILENT], [0.0]])
    return Parallel(
        Channels(wide, wide - 1, wide),
        Sequence(Channels(wide, 0, 1), Fixed(torch.tensor([[[FULL]]])), Embed(2, 1, begun)))


def pitched(wide: int) -> Streaming:
    """What strokes tell -> `PITCHED`: pitch, and 1 less the share of the way to silence."""
    sounding = Fixed(torch.tensor([[[-1.0 / SILENT]]]), torch.ones(1))
    return Parallel(Channels(wide, wide - 2, wide - 1), Sequence(faded(wide), sounding),
                    combine="concat")


def harmonics(config: SpectrogramGANConfig) -> Harmonics:
    """The operation that plays `PITCHED` and an envelope of as many bands as there are bins."""
    return Harmonics(config.bins, config.hop, float(config.sample_rate_hz), config.harmonics,
                     ENTERS, SOUNDING)


def played(config: SpectrogramGANConfig, resynth: Resynth) -> Streaming:
    """Magnitudes of tone and of noise, openings, `PITCHED` -> audio. The tone of a bin says half of
    a harmonic's amplitude, as the magnitude of a spectrum does."""
    bins = config.bins
    both, count = 2 * bins, 2 * bins + 3 + len(PITCHED)
    no_tone = torch.cat((torch.zeros(bins), torch.ones(bins)))
    noise = Sequence(Channels(count, 0, both), FixedEach(no_tone, 2 * SILENT * (1 - no_tone)),
                     resynth)
    tone = Sequence(
        Parallel(Channels(count, count - len(PITCHED), count),
                 Sequence(Channels(count, 0, bins),
                          FixedEach(torch.ones(bins), torch.full((bins,), log(2)))),
                 combine="concat"),
        harmonics(config))
    return Parallel(noise, tone)
