"""The one contract that every streaming layer keeps.

A layer is a causal function of its input and an explicit state:

    y, state = layer(x, state)        x: [batch, in_channels, time]

State is a value: a flat tuple of tensors whose shapes are known from the configuration, zero at the
start (a model may know better: engine/models/rest.py). Offline processing is streaming in one block
from fresh state; there is no other code path and no mode flag.

How time is counted. A layer of ratio r (input frames per output frame, a `Fraction`) takes blocks
whose length is a multiple of `granularity`, and output frame n belongs to input frames
n*r ... n*r + r - 1:

    in    | 0  1  2  3 | 4  5  6  7 | ...        r = 4: one frame out for four in,
    out   |     0      |     1      | ...        computed when the last of the four has arrived

`lookahead` counts, in input frames, how much later than nominal the output appears because the
layer wants to see the future; the arithmetic stays causal, the output is simply late.

`receptive_field` counts input frames back from the end of a smallest block: that many, and no
fewer, may matter to what the block puts out. `oldest` says it frame by frame, so that chains of
any rates can be exact:

    in    | 0  1  2  3 | 4  5  6  7 |        kernel 6, stride 4, then upsampled by 4: frames 4 ... 7
    seen  |       2  3   4  5  6  7 |        come out of the second block and see 2 ... 7, so 6

A layer that reads attributes of the player (temperature, scale) names them in `uses` and takes
them as a third argument: `layer(x, state, attributes)`. Each is a float tensor [size], or
[batch, size] where streams differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cached_property
from itertools import chain
from math import inf, lcm
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from engine.graph import Builder, Value

State = tuple[Tensor, ...]
Shape = tuple[int, ...]
Attributes = Mapping[str, Tensor]


class Streaming(nn.Module):
    """Base of all layers. Subclasses set the channel counts and override what differs from
    a stateless, sample-by-sample function."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if count < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 1, got {count}")
        self.in_channels = in_channels
        self.out_channels = out_channels

    # --- what is known without running anything ---------------------------------------------

    @property
    def uses(self) -> tuple[str, ...]:
        """Attributes that `forward` reads; where there are any it takes them as third argument."""
        return ()

    @property
    def may_use(self) -> tuple[str, ...]:
        """Attributes that `forward` reads where the model declares them, and does without."""
        return ()

    @property
    def ratio(self) -> Fraction:
        """Input frames per output frame: 4 for a stride of 4, 1/4 for an upsampling by 4."""
        return Fraction(1)

    @property
    def granularity(self) -> int:
        """Smallest number of input frames the layer can process; blocks are multiples of it."""
        return self.ratio.numerator

    @property
    def lookahead(self) -> Fraction:
        """Future input frames that an output frame needs; equals the delay of the output."""
        return Fraction(0)

    @property
    def latency(self) -> Fraction:
        """Lookahead plus the wait for a full block, in input frames, for a frame-by-frame host."""
        return self.lookahead + (self.granularity - 1)

    @property
    def receptive_field(self) -> float:
        """Newest input frames that a smallest block's output depends on; `inf` for recurrence."""
        return self.granularity

    def oldest(self, frame: int) -> float:
        """First input frame that output frame `frame` depends on, both counted from a block's
        start; negative before it, `-inf` for recurrence. To be overridden where frames of one
        block see differently far."""
        block = frame * self.ratio // self.granularity
        return (block + 1) * self.granularity - self.receptive_field

    @property
    def parameter_count(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.parameters())

    def macs_per_second(self, frame_rate_hz: float) -> float:
        """Multiply-accumulates per second of input that arrives at `frame_rate_hz`."""
        return self.macs_per_frame() * frame_rate_hz

    def macs_per_frame(self) -> float:
        """Multiply-accumulates per *input* frame."""
        return 0.0

    # --- state ------------------------------------------------------------------------------

    def state_shapes(self) -> list[Shape]:
        """Shape of each state tensor without its batch axis."""
        return []

    def init_state(
        self,
        batch: int = 1,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> State:
        """Fresh (all zero) state for `batch` independent streams."""
        if dtype is None or device is None:
            like: Tensor = next(chain(self.parameters(), self.buffers()), torch.zeros(()))
            dtype, device = dtype or like.dtype, device or like.device
        return tuple(
            torch.zeros((batch, *shape), dtype=dtype, device=device)
            for shape in self.state_shapes()
        )

    # A layer's shape stays, and a loop asks for these at every frame.

    @cached_property
    def state_count(self) -> int:
        """How many tensors its state has."""
        return len(self.state_shapes())

    @cached_property
    def reads_attributes(self) -> bool:
        """Whether `forward` takes them."""
        return bool(self.uses or self.may_use)

    # --- running ----------------------------------------------------------------------------

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """`x`: [batch, in_channels, time], time a multiple of `granularity`."""
        raise NotImplementedError

    def offline(self, x: Tensor) -> Tensor:
        """The whole signal at once: streaming from fresh state, nothing else."""
        return self(x, self.init_state(x.shape[0], x.dtype, x.device))[0]

    # --- what it becomes --------------------------------------------------------------------

    def lower(self, build: Builder, x: Value) -> Value:
        """Append this layer's operations to a graph (see `engine/graph.py`)."""
        raise NotImplementedError(f"{type(self).__name__} has no lowering yet")


def call(
    layer: Streaming, x: Tensor, state: State, attributes: Attributes | None
) -> tuple[Tensor, State]:
    """One layer, with the attributes if it reads any."""
    if not layer.reads_attributes:
        return layer(x, state)
    if attributes is None and layer.uses:
        raise ValueError(f"{type(layer).__name__} reads attributes ({', '.join(layer.uses)}), "
                         "none were given")
    return layer(x, state, attributes or {})


def all_uses(layers: Iterable[Streaming]) -> tuple[str, ...]:
    """Attributes that any of `layers` reads, each once, in the order met."""
    return tuple(dict.fromkeys(name for layer in layers for name in layer.uses))


def all_may_use(layers: Iterable[Streaming]) -> tuple[str, ...]:
    """Attributes that any of `layers` reads if there, each once, in the order met."""
    return tuple(dict.fromkeys(name for layer in layers for name in layer.may_use))


def run_chain(
    layers: Iterable[Streaming], x: Tensor, state: State, attributes: Attributes | None
) -> tuple[Tensor, State]:
    """Layers one after the other; `state` and what is returned hold theirs in order."""
    layers = tuple(layers)
    new: State = ()
    for layer, own in zip(layers, split_state(state, layers), strict=True):
        x, own = call(layer, x, own, attributes)
        new += own
    return x, new


def chain_ratio(layers: Iterable[Streaming]) -> Fraction:
    """Input frames of a chain per output frame."""
    total = Fraction(1)
    for layer in layers:
        total *= layer.ratio
    return total


def chain_lookahead(layers: Iterable[Streaming]) -> Fraction:
    """Lookahead of a chain, in its input frames."""
    rate, total = Fraction(1), Fraction(0)
    for layer in layers:
        total += layer.lookahead * rate
        rate *= layer.ratio
    return total


def chain_state_shapes(layers: Iterable[Streaming]) -> list[Shape]:
    """Shapes of all states of a chain, in order."""
    return [shape for layer in layers for shape in layer.state_shapes()]


def split_state(state: State, layers: Iterable[Streaming]) -> list[State]:
    """Cut a flat state into one piece per layer, in order."""
    pieces, start = [], 0
    for layer in layers:
        count = layer.state_count
        pieces.append(state[start : start + count])
        start += count
    if start != len(state):
        raise ValueError(f"state has {len(state)} tensors, the layers want {start}")
    return pieces


def chain_granularity(layers: Iterable[Streaming]) -> int:
    """Input frames of the smallest block that every layer of a chain can process."""
    rate, need = Fraction(1), 1  # rate: input frames per frame at this point of the chain
    for layer in layers:
        # The layer needs a multiple of g of its own frames, each worth `rate` input frames.
        per_block = layer.granularity * rate
        need = lcm(need, per_block.numerator)
        rate *= layer.ratio
    return lcm(need, rate.numerator)


def chain_oldest(layers: Iterable[Streaming], frame: int) -> float:
    """First input frame of a chain that its output frame `frame` depends on."""
    at: float = frame
    for layer in reversed(tuple(layers)):
        if at == -inf:
            return at
        at = layer.oldest(int(at))
    return at


def chain_receptive_field(layers: Iterable[Streaming]) -> float:
    """Receptive field of a chain, in its input frames: no frame of a block sees further back than
    its first."""
    layers = tuple(layers)
    return chain_granularity(layers) - chain_oldest(layers, 0)
