"""What every model offers: methods with explicit state, attributes, and a lowering of each."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from engine.description import (
    GENERATE,
    SCORE,
    Attribute,
    Description,
    HasMethods,
    Method,
)
from engine.errors import ConfigError
from engine.layers import State, Streaming
from engine.layers.base import Attributes
from engine.models.chain import Chain
from engine.models.rest import drawn_states, rest

if TYPE_CHECKING:
    from engine.graph import Graph


class ModelConfig(BaseModel):
    """Base of every family's configuration: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
    sample_rate_hz: int = 16000
    # What fresh state is: zeros, or what silence leaves behind (engine/models/rest.py).
    start: Literal["zero", "rest"] = "zero"

    # Keys of which nothing is said while they have their default: files and runs of models that do
    # without are those of the versions before them, to the byte.
    unsaid: ClassVar[tuple[str, ...]] = ("start",)

    # Keys that may be set when weights are taken from a model that has their defaults.
    grown: ClassVar[tuple[str, ...]] = ()

    def may_differ(self, other: ModelConfig) -> set[str]:
        """Keys in which a model of this shape may differ from `other`, whose weights it takes."""
        fields = type(other).model_fields
        return {key for key in other.grown if getattr(other, key) == fields[key].default}

    @model_serializer(mode="wrap")
    def _what_is_said(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = plain(self)
        fields = type(self).model_fields
        return {key: value for key, value in data.items()
                if key not in self.unsaid or getattr(self, key) != fields[key].default}


class Model(HasMethods, nn.Module):
    """A set of methods over shared weights.

    A family sets `config` and says in `chains` what each method is made of, in
    `declared_attributes` what a player may set; everything else follows. `family` is its name in
    the registry."""

    family: ClassVar[str] = ""
    config: ModelConfig

    # --- what a family says -----------------------------------------------------------------

    def chains(self) -> dict[str, Chain]:
        """Each method as a chain of layers, by name. Asked once, and again after `changed`."""
        raise NotImplementedError

    def declared_attributes(self) -> tuple[Attribute, ...]:
        """What a player may set while the model runs."""
        return ()

    def begin_with(self, other: Model) -> None:
        """Take the weights of a model that differs by nothing but `config.may_differ`."""
        self.load_state_dict(other.state_dict())

    def mapping(self) -> str:
        """How instruments play it, "" where they derive that by themselves."""
        return ""

    def in_voices(self, said: str) -> Model:
        """The same weights played by several gates, `said` of how many or which."""
        raise ConfigError(f"--voices is for drum voices; {self.family} is none")

    def inside(self, method: str) -> tuple[Model, str] | None:
        """The model inside this one whose method `method` is, if it is one's."""
        return None

    # --- what follows -----------------------------------------------------------------------

    @cached_property
    def _chains(self) -> dict[str, Chain]:
        chains = self.chains()
        declared = {attribute.name for attribute in self.declared_attributes()}
        for name, chain in chains.items():
            unknown = [use for use in chain.uses if use not in declared]
            if unknown:
                raise ValueError(f"method {name} reads the attribute {unknown[0]!r}, which "
                                 f"{type(self).__name__}.declared_attributes does not declare")
        return chains

    @cached_property
    def methods(self) -> dict[str, Method]:
        """What each method takes and gives, by name."""
        return {name: chain.method(name) for name, chain in self._chains.items()}

    @cached_property
    def attributes(self) -> dict[str, Attribute]:
        """What a player may set, by name."""
        return {attribute.name: attribute for attribute in self.declared_attributes()}

    @cached_property
    def drawn_states(self) -> dict[str, tuple[bool, ...] | None]:
        """Of each method, which states count the noise that was drawn; None: it reads its own
        output."""
        return {name: drawn_states(self.graph(name)) for name in self._chains}

    def starts_at_rest(self, method: str) -> bool:
        """Whether a method starts with what silence leaves behind, and an export holds that."""
        return (self.config.start != "zero" and self.methods[method].role not in (GENERATE, SCORE)
                and self.drawn_states[method] is not None)

    def changed(self) -> None:
        """To be called when `chains` or `declared_attributes` would now answer otherwise."""
        for name in ("_chains", "methods", "attributes", "drawn_states"):
            self.__dict__.pop(name, None)

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio side of every method."""
        return self.config.sample_rate_hz

    @property
    def ratio(self) -> int:
        """Audio samples per smallest block, over all methods."""
        return max(method.ratio for method in self.methods.values())

    @property
    def parameter_count(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.parameters())

    def layers_of(self, method: str) -> tuple[Streaming, ...]:
        """What a method is a chain of; a model that wraps another may have none of its own."""
        return self._chains[method].layers

    def state_shapes(self, method: str) -> list[tuple[int, ...]]:
        """Shapes of a method's state tensors without the batch axis."""
        return self._chains[method].state_shapes()

    def step(
        self, method: str, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        """One block. `x`: [batch, in_channels, frames]; attributes: float tensors [size], or
        [batch, size] where streams differ."""
        return self._chains[method].step(x, state, attributes)

    def graph(self, method: str) -> Graph:
        """The method as a flat list of operations."""
        return self._chains[method].graph(method)

    def init_state(self, method: str, batch: int = 1) -> State:
        """Fresh state of a method, in the model's precision and on its device: what a stream
        begins with, and goes back to when it is reset."""
        state = rest(self, method)
        if state is None:
            return self.zero_state(method, batch)
        return tuple(s.expand(batch, *s.shape[1:]).clone() for s in state)

    def zero_state(self, method: str, batch: int = 1) -> State:
        """State of zeros."""
        like = next(self.parameters())
        return tuple(like.new_zeros((batch, *shape)) for shape in self.state_shapes(method))

    def default_attributes(self) -> dict[str, Tensor]:
        """Neutral attributes, in the model's precision and on its device."""
        like = next(self.parameters())
        return {a.name: like.new_full((a.size,), a.default) for a in self.attributes.values()}

    @torch.no_grad()
    def offline(self, method: str, x: Tensor, **attributes: Tensor) -> Tensor:
        """A whole signal at once: one block from fresh state."""
        values = {**self.default_attributes(), **attributes}
        return self.step(method, x, self.init_state(method, x.shape[0]), values)[0]

    def describe(self, name: str, provenance: dict[str, Any] | None = None) -> Description:
        """Everything a player needs to know besides weights."""
        return Description(
            name=name,
            family=self.family,
            sample_rate_hz=self.sample_rate_hz,
            methods=self.methods,
            attributes=self.attributes,
            config=self.config.model_dump(mode="json"),
            provenance=provenance or {},
            mapping=self.mapping(),
        )
