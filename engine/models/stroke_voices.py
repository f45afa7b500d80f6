"""Several drum voices in one file: the same weights played once for each gate, and summed.

    gate k, late k, velocity k, tune k, class k, z k, decay k ------.
    subclass, of all voices -> weights of classes and subclasses -> strokes -> told -> net -> sound
                                                                       late, held -> delay --^

Weights lie in the file once. Every voice has a state and noise of its own, the first that of a
model of one voice. `late` says how far into its frame a gate came: its sound is delayed by that, so
that it is heard a constant time after the gate and not on the grid of frames. The delay moves while
the door is shut, between the stroke before and the one that begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.layers import (
    Channels,
    Control,
    Embed,
    Exp,
    Fixed,
    FractionalDelay,
    NoiseMultiply,
    Parallel,
    Resynth,
    Sequence,
    Shapes,
    Streaming,
)
from engine.models.latched import latched
from engine.scores.conditions import CLASS, GATE
from engine.scores.strokes import DECAY, GRAIN, LATE, SUBCLASS, TUNE, VELOCITY, Z

if TYPE_CHECKING:
    from engine.models.spectrogram_gan import SpectrogramGAN
    from engine.models.spectrogram_gan_config import SpectrogramGANConfig

STEPS = 8  # of a weight from one class to the next
SEEDS = 7919  # apart: voices draw differently
SHUT_AFTER = 2  # frames from a gate until what rang before it has closed, delayed by a hop at most
# Of each input of a voice; the middle is where it rests, but for the velocity.
RANGES = {GATE: (0.0, 1.0), LATE: (0.0, 1.0), VELOCITY: (0.0, 1.0), TUNE: (-1.0, 1.0),
          CLASS: (-1.0, 1.0), Z: (-2.0, 2.0), DECAY: (-2.0, 2.0)}
SHARED = (-1.0, 1.0)  # subclass


def voice_labels(config: SpectrogramGANConfig) -> tuple[str, ...]:
    """Of the inputs, in order."""
    own = [name for name in RANGES if name != CLASS or config.classes]
    return (*(f"{name} {k + 1}" for k in range(len(config.voices)) for name in own),
            *((SUBCLASS,) if config.subclasses else ()))


def voice_ranges(labels: tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    """Of each of them."""
    return tuple(RANGES.get(label.partition(" ")[0], SHARED) for label in labels)


def weights_table(count: int, silent_first: bool) -> Tensor:
    """Weights of `count` names at places along their list, `STEPS` from one to the next
    [places, count]: two neighbours share. `silent_first`: of none, before the first."""
    first = -1 if silent_first else 0
    places = torch.arange((count - 1 - first) * STEPS + 1) / STEPS + first
    return (1 - (places[:, None] - torch.arange(count)).abs()).clamp_min(0)


@dataclass(frozen=True)
class Tables:
    """What voices share beside the trained layers: places along lists to weights; None: no list."""

    classes: Embed | None
    subclasses: Embed | None

    @classmethod
    def of(cls, config: SpectrogramGANConfig) -> Tables:
        """For a model's classes and subclasses."""
        made = [None if table is None else Embed(len(table), table.shape[1], table) for table in (
            weights_table(len(config.classes), False) if config.classes else None,
            weights_table(len(config.subclasses), True) if config.subclasses else None)]
        return cls(*made)


def panel(model: SpectrogramGAN) -> tuple[Streaming, Streaming]:
    """What makes magnitudes of all voices, one behind the other, and what makes one sound of them.
    """
    config, tables = model.config, Tables.of(model.config)
    voices = [_voice(model, tables, k) for k in range(len(config.voices))]
    wide = voices[0].out_channels
    shapes = list(model.sound.branches)[1]  # type: ignore[arg-type]  # how far it is open
    lag = Sequence(
        Channels(wide, wide - 1, wide), Fixed(torch.tensor([[[1.0] + [0.0] * SHUT_AFTER]])),
        _Lag(config.hop, int(_resynth(model.sound).lookahead)))
    played = []
    for k in range(len(voices)):
        resynth = Resynth(config.fft, config.hop, _resynth(model.sound).seed + SEEDS * k)
        door = 2 * config.bins
        played.append(Sequence(
            Channels(wide * len(voices), wide * k, wide * (k + 1)),
            Parallel(
                Parallel(Sequence(Channels(wide, 0, door), resynth),
                         Sequence(Channels(wide, door, wide - 1), *list(shapes)[1:]),
                         combine="product"),
                lag, combine="concat"),
            FractionalDelay(1, config.hop + 1, 1)))
    return Parallel(*voices, combine="concat"), Parallel(*played)


def unsaved(parts: nn.ModuleList) -> nn.ModuleList:
    """Layers that go where the model goes, but whose weights are stored under one name: that which
    they have in a model of one voice."""
    parts._register_state_dict_hook(_left_out)
    parts.register_load_state_dict_post_hook(_not_missed)
    return parts


def _left_out(_: nn.Module, found: dict[str, Tensor], prefix: str, __: object) -> None:
    for name in [name for name in found if name.startswith(prefix)]:
        del found[name]


def _not_missed(_: nn.Module, keys: Any) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if not name.startswith("panel.")]


class _Lag(Sequence):
    """Part of a hop -> what a delay wants, in every sample."""

    def __init__(self, hop: int, ahead: int) -> None:
        both = torch.stack((torch.full((hop,), float(hop)), torch.ones(hop)))
        one = Fixed(torch.tensor([[[1.0]], [[0.0]]]), torch.tensor([0.0, 1.0]))
        super().__init__(one, Shapes(both, ahead))


def _resynth(sound: Streaming) -> Resynth:
    return next(layer for layer in sound.modules() if isinstance(layer, Resynth))


def _voice(model: SpectrogramGAN, tables: Tables, k: int) -> Streaming:
    """All inputs -> what `net` gives for voice `k`, then how late its gate came."""
    config = model.config
    count = len(config.asked) + 1 + config.z  # as one voice has them, with its gate
    known = count - 1
    rows = _rows(config, tables, k)
    assert rows.out_channels == count + 2
    held = latched(config, count + 2, SEEDS * k)
    # values: what is asked for, z, late, decay, age
    width, late, decay, age = count + 2, known, known + 1, known + 2
    layers = list(model.told.branches)  # type: ignore[arg-type]
    told_asked, _, told_age, told_door = layers
    speed = Sequence(Channels(width, decay, decay + 1), Fixed(torch.tensor([[[log(2.0)]]])), Exp(1))
    ages = Sequence(
        Parallel(Channels(width, age, age + 1), speed, Control(width, DECAY),
                 combine="product"),
        *list(told_age)[1:])
    fresh = Sequence(Control(width, GRAIN),
                     Fixed(torch.ones(config.noise, 1, 1)),
                     NoiseMultiply(config.noise, NoiseMultiply(1).seed + SEEDS * k))
    told = Parallel(
        Sequence(Channels(width, 0, known), *list(told_asked)[1:]), fresh, ages,
        Sequence(Channels(width, age, width), *list(told_door)[1:]), combine="concat")
    wide = told.out_channels
    both = Parallel(told, Channels(width, late, late + 1), combine="concat")
    net = Parallel(Sequence(Channels(wide + 1, 0, wide), model.net),
                   Channels(wide + 1, wide, wide + 1), combine="concat")
    return Sequence(rows, held, both, net)


def _rows(config: SpectrogramGANConfig, tables: Tables, k: int) -> Streaming:
    """All inputs -> those of one voice: gate, velocity, pitch, weights, z, how late, decay."""
    labels = voice_labels(config)

    def input_of(name: str, factor: float = 1.0, offset: float = 0.0, out: int = 1) -> Fixed:
        weight = torch.zeros(out, len(labels), 1)
        weight[0, labels.index(name)] = factor
        bias = torch.zeros(out)
        bias[0] = offset
        return Fixed(weight, bias)

    voice = f" {k + 1}"
    parts: list[Streaming] = [input_of(f"{name}{voice}") for name in (GATE, VELOCITY, TUNE)]
    if tables.classes is not None:
        home, whole = config.classes.index(config.voices[k]), len(config.classes) - 1
        parts.append(Sequence(input_of(f"{CLASS}{voice}", whole * STEPS, home * STEPS),
                              tables.classes))
    if tables.subclasses is not None:
        parts.append(Sequence(input_of(SUBCLASS, len(config.subclasses) * STEPS),
                              tables.subclasses))
    parts += [input_of(f"{Z}{voice}", out=config.z), input_of(f"{LATE}{voice}"),
              input_of(f"{DECAY}{voice}")]
    return Parallel(*parts, combine="concat")
