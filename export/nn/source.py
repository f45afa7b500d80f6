"""The TorchScript source of the shell around a model's traced step functions.

The language has neither `*args` nor loops over attribute names, so the methods of a model with,
say, 24 state tensors and 16 latents are written out for exactly those numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from keyword import iskeyword

from engine.description import Attribute, Description

RESET = "reset"
IDLE = "idle"  # a method that does nothing, for models whose own ratios are too small for nn~


def step_name(method: str) -> str:
    """Name of the flat function behind a method."""
    return f"{method}_step"


def shell_source(
    description: Description,
    states: dict[str, list[str]],
    weights: dict[str, list[str]],
    idle: bool,
    frame: int = 0,
    queue: int = 0,
) -> list[str]:
    """All methods of the shell, each as the text of one function; callees before callers.

    `states`, `weights`: names of buffers and parameters that each method of the model uses.
    `idle`: add the method that does nothing.
    `frame`, `queue`: where blocks need not be whole frames, samples of one, and of the queue."""
    attributes = list(description.attributes.values())
    source = [_grow(name, states[name]) for name in description.methods if states[name]]
    source += [
        _method(name, states[name], [*map(buffer_name, attributes), *weights[name]], bool(frame))
        for name in description.methods
    ]
    if frame:
        source += [_queued(name, frame, queue) for name in description.methods]
    methods = [*description.methods, *([IDLE] if idle else [])]
    if idle:
        source.append(f"def {IDLE}(self, x: Tensor) -> Tensor:\n    return x\n")
    source.append(_string_list("get_methods", methods))
    lists = [a for a in attributes if a.size > 1]
    names = [RESET, *(a.name for a in attributes), *map(one_name, lists)]
    source.append(_string_list("get_attributes", names))
    for attribute in attributes:
        source += [_getter(attribute), _setter(attribute)]
    for attribute in lists:
        source += _one_of_list(attribute)
    source += _reset([name for names in states.values() for name in names],
                     [waiting_name(name) for name in description.methods] if frame else [])
    source += _sample_rate()
    return source


def before_name(method: str) -> str:
    """The buffer of samples that wait until their frame is whole."""
    return f"{method}_state_before"


def after_name(method: str) -> str:
    """The buffer of samples that are ready, but not due."""
    return f"{method}_state_after"


def waiting_name(method: str) -> str:
    """How many samples wait."""
    return f"{method}_waiting"


def whole_name(method: str) -> str:
    """The method that plays whole frames, where blocks need not be such."""
    return f"_whole_{method}"


def _queued(name: str, frame: int, queue: int) -> str:
    """Play a block of any length: whole frames at once, the rest with the next block.

    What waits before the model and what is ready behind it are `queue` samples together, always."""
    before, after, waiting = before_name(name), after_name(name), waiting_name(name)
    return f"""def {name}(self, x: Tensor) -> Tensor:
    n = x.size(0)
    length = x.size(2)
    if n > self.{before}.size(0):
        self._grow_{name}(n)
    waiting = int(self.{waiting}.item())
    x = torch.cat([self.{before}[:n, :, :waiting], x], 2)
    y = self.{after}[:n, :, :{queue} - waiting]
    rest = x.size(2) % {frame}
    whole = x.size(2) - rest
    if whole > 0:
        y = torch.cat([y, self.{whole_name(name)}(x[:, :, :whole])], 2)
    else:
        y = y.clone()
    self.{before}[:n, :, :rest].copy_(x[:, :, whole:])
    self.{after}[:n, :, :{queue} - rest].copy_(y[:, :, length:])
    self.{waiting}.fill_(rest)
    return y[:, :, :length]
"""


def _method(
    name: str, states: Sequence[str], constants: Sequence[str], whole: bool = False
) -> str:
    """Play one block: state in, state out, written back in place.

    `x`: float32 [batch, in_channels, frames]. The buffers are never rebound: nn~ runs this under
    InferenceMode and the setters outside it, and a tensor born in one is not writable in the
    other. A batch beyond the buffers makes them grow in place, rows of old streams kept."""
    held = [f"s{index}" for index in range(len(states))]
    fresh = [f"t{index}" for index in range(len(states))]
    lines = [f"def {whole_name(name) if whole else name}(self, x: Tensor) -> Tensor:"]
    states = [s for s in states if s not in (before_name(name), after_name(name))]
    held, fresh = held[: len(states)], fresh[: len(states)]
    if states:
        lines += [
            "    n = x.size(0)",
            f"    if n > self.{states[0]}.size(0):",
            f"        self._grow_{name}(n)",
        ]
    lines += [f"    {h} = self.{s}[:n]" for h, s in zip(held, states, strict=True)]
    arguments = ", ".join(["x", *held, *(f"self.{c}" for c in constants)])
    lines.append(f"    {', '.join(['y', *fresh])} = {step_name(name)}({arguments})")
    lines += [f"    {h}.copy_({t})" for h, t in zip(held, fresh, strict=True)]
    return "\n".join([*lines, "    return y"]) + "\n"


def _grow(name: str, states: Sequence[str]) -> str:
    """Make room for `n` streams in every state buffer of method `name`.

    Memory that came from a file cannot be resized, and a rebound buffer would be an inference
    tensor; `set_` gives the old tensor new memory and keeps it what it is."""
    states_list = ", ".join(f"self.{state}" for state in states)
    return f"""def _grow_{name}(self, n: int) -> None:
    for state in [{states_list}]:
        shape = state.size()
        had = shape[0]
        shape[0] = n
        more = torch.zeros(shape, dtype=torch.float32, device=state.device)
        more[:had].copy_(state)
        state.set_(more)
"""


def _string_list(name: str, values: Sequence[str]) -> str:
    return f"def {name}(self) -> List[str]:\n    return {list(values)!r}\n"


def _getter(attribute: Attribute) -> str:
    return (f"def get_{attribute.name}(self) -> List[float]:\n"
            f"    values: List[float] = self.{buffer_name(attribute)}.tolist()\n"
            "    return values\n")


def _setter(attribute: Attribute) -> str:
    """One float per number; 0 when all are finite and in range. Else nothing changes, and the
    error says why: nn~ prints what a setter raises, but of a -1 only that there was one."""
    names = [f"v{index}" for index in range(attribute.size)]
    typed = ", ".join(f"{name}: float" for name in names)
    return (f"def set_{attribute.name}(self, {typed}) -> int:\n"
            f"    values = [{', '.join(names)}]\n"
            "    for value in values:\n"
            f"{_range_check(attribute, attribute.name, '        ')}"
            f"    self.{buffer_name(attribute)}.copy_(torch.tensor(values, dtype=torch.float32))\n"
            "    return 0\n")


def _range_check(attribute: Attribute, name: str, indent: str) -> str:
    # NaN fails both comparisons, so the test asks for what is right.
    low, high = attribute.minimum, attribute.maximum
    return (f"{indent}if not (value >= {low!r} and value <= {high!r}):\n"
            f"{indent}    raise ValueError('{name} goes from {low:g} to {high:.10g}, not '"
            " + str(value) + ' (the old value stays)')\n")


def buffer_name(attribute: Attribute) -> str:
    """The buffer that holds its numbers: its name, or where that is a word of the language, such as
    "class", one beside it. Getters and setters go by the name itself."""
    return f"{attribute.name}_" if iskeyword(attribute.name) else attribute.name


def one_name(attribute: Attribute) -> str:
    """The attribute that sets one number of a list: `bias_at 3 0.5`."""
    return f"{attribute.name}_at"


def _one_of_list(attribute: Attribute) -> list[str]:
    """Getter and setter of one number of an attribute, counted from 1 as in its labels."""
    name, one = buffer_name(attribute), one_name(attribute)
    return [
        f"def get_{one}(self) -> Tuple[int, float]:\n"
        f"    at = int(self.{one}_index.item())\n"
        f"    return at, float(self.{name}[at - 1].item())\n",
        f"def set_{one}(self, at: int, value: float) -> int:\n"
        f"    if at < 1 or at > {attribute.size}:\n"
        f"        raise ValueError('{one} takes a number from 1 to {attribute.size} and a value, "
        "not ' + str(at))\n"
        f"{_range_check(attribute, one, '    ')}"
        f"    self.{name}[at - 1].fill_(value)\n"
        f"    self.{one}_index.fill_(at)\n"
        "    return 0\n",
    ]


def _reset(states: Sequence[str], counts: Sequence[str]) -> list[str]:
    clear = [f"        self.{name}.zero_()" for name in (*states, *counts)] or ["        pass"]
    lines = [f"def set_{RESET}(self, value: int) -> int:", "    if value != 0:", *clear]
    return [
        f"def get_{RESET}(self) -> List[int]:\n    return [0]\n",
        "\n".join([*lines, "    return 0"]) + "\n",
    ]


def _sample_rate() -> list[str]:
    """nn~ may or may not tell the rate, and tells 0 while audio is off: then it is unknown."""
    return [
        "def get_sample_rate(self) -> int:\n    return int(self.sample_rate.item())\n",
        "def set_sample_rate(self, rate: int) -> int:\n"
        "    if rate > 0:\n"
        "        self.host_rate.fill_(rate)\n"
        "    return 0\n",
    ]
