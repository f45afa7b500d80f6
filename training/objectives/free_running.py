"""Windows that a model draws by itself from a real past, with gradients.

    real     ... x x x x x x | x x x x x x x x x x x x |
    heard    state of the    | drawn, each from those  |     `window_samples`
             real past       | drawn before            |

First the window is drawn frame by frame without gradients, which no network can do at once. Then
all of its pieces of `gradient_samples` are drawn again side by side, each from the state and the
last sample that the first pass had at its start, with the same noise: the same samples, now as
functions of the weights (`relaxed.py` says how a draw has a gradient). Within a piece a gradient
goes through everything that was drawn before, as far back as the piece reaches; at its start it
ends. That is backpropagation through time, truncated: a piece of 1 knows only what each draw is
given its past, a piece as long as the window is exact and long to work out.

A net that reads its own draws may make a small change large within a few samples, and so its
gradient. What comes back to a sample from those drawn after it is therefore held to the greatest
gradient that any sample has from being heard, as Graves 2013 held it to a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from engine.errors import ConfigError
from engine.layers import Embed
from engine.layers.base import Attributes, State, call
from engine.models.looped import Looped
from training.data.base import Shard
from training.objectives.adversarial import GanConfig
from training.objectives.relaxed import Drawn, Noise, Relaxed, noise_for
from training.objectives.stepped import through
from training.objectives.ticks import Ticks, stepping
from training.settings import Count, NotNegative, Positive


class FreeRunConfig(GanConfig):
    """`[training.adversarial]` of what draws frame by frame. The weights hold in the steps that
    have a turn."""

    others = True

    start: float | str = 0.5
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    ramp_steps: Annotated[int, Field(ge=0)] = 2000
    objective: Literal["hinge", "least-squares", "non-saturating", "classical"] = "least-squares"
    discriminators: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("patch",)
    feature_weight: NotNegative = 0.0
    model_rate: Positive | None = None
    every: Count = 10  # of so many steps one has a turn: drawing frame by frame takes its time
    windows: Count = 4  # for each step of the discriminators
    window_samples: Count = 2048
    gradient_samples: Count = 16  # so far back a gradient goes through what was drawn
    tau: Positive = 1.0  # of the relaxation of which class or part is drawn
    match_weight: NotNegative = 0.0  # of the distance from what really came
    match_norm: Annotated[float, Field(ge=1)] = 2.0
    match_on: Literal["log-spectra", "waveform"] = "log-spectra"

    @property
    def turn_steps(self) -> int:
        return self.every

    def stretch_samples(self, rate_hz: int) -> int:
        return self.window_samples

    def told(self) -> str:
        return f"in one step of {self.every}"

    @model_validator(mode="after")
    def _whole_pieces(self) -> FreeRunConfig:
        if self.window_samples % self.gradient_samples:
            raise ValueError(f"window_samples ({self.window_samples}) must be a multiple of "
                             f"gradient_samples ({self.gradient_samples})")
        return self


@dataclass(frozen=True)
class Asked:
    """What is to be drawn: the method's parts, its input [batch, in_channels, frames], what the
    loop should have drawn [batch, channels, time], and attributes."""

    parts: Looped
    x: Tensor
    drawn: Tensor
    attributes: Attributes

    def conditions(self) -> Tensor:
        """What reaches the loop [batch, channels, time]."""
        return self.parts.conditions(self.x, self.attributes)

    def of(self, rows: Tensor) -> Asked:
        """Of some of the examples."""
        return Asked(self.parts, self.x[rows], self.drawn[rows], self.attributes)


class FreeRun:
    """Draws windows of `frames`, pieces of `piece` frames having gradients. `limit`: how many times
    the greatest gradient of what is heard may come back from later samples."""

    def __init__(self, parts: Looped, frames: int, piece: int, tau: float = 1.0,
                 limit: float = 1.0) -> None:
        self.parts, self.frames, self.piece = parts, frames, piece
        self.limit, self.heard = limit, torch.zeros(())
        self.relaxed = Relaxed(parts.draw, tau)

    def windows(self, asked: Asked, with_gradients: int, shard: Shard) -> tuple[Tensor, Tensor]:
        """The window at the end of each example, drawn and real, as they come out of the method
        [batch, out_channels, time]; the last `with_gradients` of the drawn ones have them."""
        start = self.start(asked.drawn.shape[2])
        window = slice(start, start + self.frames)
        conditions = asked.conditions()
        conditions = conditions if conditions.dtype == torch.float64 else conditions.float()
        noise = noise_for(self.parts.draw, (len(asked.drawn), self.frames), shard, conditions)
        with torch.no_grad():
            state = self._after(conditions, asked, start)
            real = self._heard(asked.drawn[:, :, window], None, asked.attributes)
            found, states, last = self._draw(conditions[:, :, window], state,
                                             asked.drawn[:, :, start - 1 : start], noise,
                                             asked.attributes)
            made = self._heard(found.value, None, asked.attributes)
        rows = slice(len(made) - with_gradients, None)
        again = self._again(
            conditions[rows, :, window], [tuple(t[rows] for t in s) for s in states],
            [y[rows] for y in last], Noise(noise.which[rows],
                                           None if noise.far is None else noise.far[rows]),
            Drawn(found.value[rows], found.part[rows], None), asked.attributes)
        return torch.cat((made[: rows.start], again)), real

    def start(self, length: int) -> int:
        """Where a window begins in an example of so many frames: as late as it can, so that it has
        the longest past."""
        step = self.parts.loop.granularity
        start = (length - self.frames) // step * step
        if start < 1:
            raise ConfigError(f"training.adversarial.window_samples: a window of {self.frames} "
                              f"frames and a past before it do not fit into an example of {length};"
                              " give a smaller one, or a longer training.crop_seconds")
        return start

    # --- inside -----------------------------------------------------------------------------

    def _joined(self, conditions: Tensor, fed: Tensor) -> Tensor:
        return torch.cat((conditions, fed), dim=1) if self.parts.loop.conditions else fed

    def _after(self, conditions: Tensor, asked: Asked, start: int) -> State:
        """The net's state after `start` frames of what is real."""
        net, drawn = self.parts.loop.net, asked.drawn.to(conditions.dtype)
        fed = torch.nn.functional.pad(drawn, (1, 0))[:, :, :start]
        state = net.init_state(len(fed), fed.dtype, fed.device)
        return call(net, self._joined(conditions[:, :, :start], fed), state, asked.attributes)[1]

    def _draw(
        self, conditions: Tensor, state: State, last: Tensor, noise: Noise, attributes: Attributes
    ) -> tuple[Drawn, list[State], list[Tensor]]:
        """The whole window; states and last draws at the start of each piece."""
        last, pieces = last.to(conditions.dtype), list[Drawn]()
        states, fed = list[State](), list[Tensor]()
        with stepping(self.parts.loop.net) as net:
            for at in range(0, self.frames, self.piece):
                piece = slice(at, at + self.piece)
                states.append(state)
                fed.append(last)
                net.begin(state)
                pieces.append(self._piece(net, conditions[:, :, piece], last, noise.at(piece),
                                          attributes))
                state, last = net.end(), pieces[-1].value[:, :, -1:]
        return Drawn(torch.cat([p.value for p in pieces], dim=2),
                     torch.cat([p.part for p in pieces], dim=2), None), states, fed

    def _again(
        self, conditions: Tensor, states: list[State], last: list[Tensor], noise: Noise,
        known: Drawn, attributes: Attributes,
    ) -> Tensor:
        """All pieces side by side, as what the method puts out."""
        count = len(states)

        def side_by_side(x: Tensor) -> Tensor:
            return torch.cat(x.chunk(count, dim=-1))

        far = None if noise.far is None else side_by_side(noise.far)
        with stepping(self.parts.loop.net) as net:
            net.begin(tuple(torch.cat(each) for each in zip(*states, strict=True)))
            found = self._piece(
                net, side_by_side(conditions), torch.cat(last),
                Noise(side_by_side(noise.which), far), attributes,
                Drawn(side_by_side(known.value), side_by_side(known.part), None))
        made = self._heard(found.value, found.weights, attributes)
        if made.requires_grad:
            made.register_hook(self._remember)
        return torch.cat(made.chunk(count), dim=2)

    def _remember(self, gradient: Tensor) -> None:
        self.heard = gradient.abs().amax()

    def _fed_back(self, x: Tensor) -> Tensor:
        """`x` as later draws see it: what comes back from there is held to the limit."""
        if not x.requires_grad:
            return x
        x = x.view_as(x)
        x.register_hook(lambda g: g.clamp(-self.limit * self.heard, self.limit * self.heard))
        return x

    def _piece(
        self, net: Ticks, conditions: Tensor, last: Tensor, noise: Noise, attributes: Attributes,
        known: Drawn | None = None,
    ) -> Drawn:
        """Frame by frame; `known`: what has been drawn, of which the gradients are wanted."""
        found: list[Drawn] = []
        for at in range(conditions.shape[2]):
            frame = slice(at, at + 1)
            here = conditions[:, :, frame]
            given = net.frame(self._joined(here, last), attributes)
            part = None if known is None else known.part[:, :, frame]
            drawn = self.relaxed(given, noise.at(frame), part)
            drawn = drawn._replace(value=self.parts.loop.gated(here, drawn.value))
            if known is not None:
                exact = known.value[:, :, frame] + (drawn.value - drawn.value.detach())
                drawn = drawn._replace(value=exact)
                if drawn.weights is not None and exact.shape[1] == 1:
                    net.fed.numbers = exact.detach()
                    net.fed.weights = self._fed_back(drawn.weights)
            last = self._fed_back(drawn.value)
            found.append(drawn)
        weights = [d.weights for d in found if d.weights is not None and known is not None]
        return Drawn(torch.cat([d.value for d in found], dim=2),
                     torch.cat([d.part for d in found], dim=2),
                     torch.cat(weights, dim=3) if weights else None)

    def _heard(self, drawn: Tensor, weights: Tensor | None, attributes: Attributes) -> Tensor:
        """What comes out behind the loop."""
        y: Tensor = drawn
        for layer in self.parts.behind:
            rows, _ = call(layer, y, (), attributes)
            if weights is not None and isinstance(layer, Embed):
                table: Any = layer.table
                rows, weights = rows + through(weights, table), None
            y = rows
        return y
