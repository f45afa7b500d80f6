"""Streaming layers: `forward(x, state) -> (y, state)`, offline is streaming from fresh state."""

from engine.layers.attention import Attention, CausalAttention, TransformerStack
from engine.layers.base import State, Streaming, split_state
from engine.layers.channels import Affine, Channels
from engine.layers.combine import Identity, Parallel, Residual, Sequence
from engine.layers.control import Control, Film
from engine.layers.conv import Conv1d, ConvTranspose1d, Delay
from engine.layers.draw import Categorical, Embed, LogisticMixture, mu_law_table
from engine.layers.film import FilmStack
from engine.layers.fixed import Fixed, FixedEach, Repeat, Shapes, SharedProjection
from engine.layers.fractional_delay import FractionalDelay
from engine.layers.harmonics import Harmonics
from engine.layers.loop import Loop, Past
from engine.layers.noise import KeyedNoise, LatentSample, NoiseMultiply
from engine.layers.norm import LayerNorm, RMSNorm
from engine.layers.note import Note
from engine.layers.pitch import PitchTrack
from engine.layers.pointwise import (
    ELU,
    Exp,
    GatedUnit,
    Guard,
    LeakyReLU,
    Log,
    Pointwise,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    Tanh,
)
from engine.layers.pqmf import PQMFAnalysis, PQMFSynthesis
from engine.layers.recurrent import GRU, LSTM
from engine.layers.spectrum import Resynth, Spectrum
from engine.layers.stack import GatedStack

__all__ = [
    "ELU", "GRU", "LSTM", "Affine", "Attention", "Categorical", "CausalAttention", "Channels",
    "Control", "Conv1d", "ConvTranspose1d", "Delay", "Embed", "Exp", "Film", "FilmStack",
    "Fixed", "FixedEach", "FractionalDelay", "GatedStack", "GatedUnit", "Guard", "Harmonics",
    "Identity", "KeyedNoise", "LatentSample", "LayerNorm", "LeakyReLU", "Log",
    "LogisticMixture", "Loop", "NoiseMultiply", "Note", "PQMFAnalysis", "PQMFSynthesis",
    "Parallel", "Past", "PitchTrack", "Pointwise", "RMSNorm", "Repeat", "Residual", "Resynth",
    "Sequence", "Shapes", "SharedProjection", "Sigmoid", "Snake", "Softplus", "Spectrum",
    "Sqrt", "State", "Streaming", "Tanh", "TransformerStack", "mu_law_table", "split_state",
]
