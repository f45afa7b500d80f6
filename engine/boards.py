"""What each board is: arithmetic, caches or memories, bandwidths, with how sure that is.

Every figure is an estimate or a maker's number, none was measured on a board by this project; a
`Range` spans what is believed. Rates are those of one core, in multiply-accumulates (MAC) and
bytes per second.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError, nearest

KIB, MIB = 1024, 1024 * 1024
DTYPES = ("float32", "bf16w", "q16x8")
WEIGHT_BYTES = {"float32": 4, "bf16w": 2, "q16x8": 1}
STATE_BYTES = {"float32": 4, "bf16w": 4, "q16x8": 2}


@dataclass(frozen=True)
class Range:
    """From the least to the most that is believed."""

    low: float
    high: float

    def scaled(self, factor: float) -> Range:
        """Both ends times `factor`."""
        return Range(self.low * factor, self.high * factor)

    def inverse(self, of: float) -> Range:
        """`of` divided by it: a rate becomes a time."""
        return Range(of / self.high, of / self.low)


@dataclass(frozen=True)
class Memory:
    """A memory with an address of its own, or a cache. `room_bytes`: what a model may take."""

    name: str
    bytes: int
    room_bytes: int
    reads: Range  # bytes per second, in order
    use: str = ""


@dataclass(frozen=True)
class Board:
    """One core of a machine. With `placed` memories a plan says what lies where; else they are
    caches, and the smallest that holds everything counts."""

    name: str
    title: str
    clock_hz: float
    macs: dict[str, Range]  # per dtype, several frames at a time
    one_frame: dict[str, float]  # how many times longer a MAC takes when frames come singly
    memories: tuple[Memory, ...]
    placed: bool
    load_limit: float  # of one core; what is left belongs to the rest of the instrument
    tile_frames: int  # frames that share one reading of the weights
    rates_hz: tuple[int, ...] = ()  # of its codec; empty: any
    file_bytes: int = 0  # flash for the model file; 0: no limit worth naming
    block_samples: int = 128
    cycles_per_instruction: Range | None = None
    source: str = ""


def _same(rate: Range) -> dict[str, Range]:
    """No arithmetic is gained by smaller weights: they widen to float32, or no kernel is known."""
    return dict.fromkeys(DTYPES, rate)


_VECTOR = {"float32": 1.15, "bf16w": 1.15, "q16x8": 1.15}

# Instructions per MAC counted in the emulator (float32: this runtime's portable kernels, 1.75 at
# sixteen frames and 2.5 at one; q16x8: 1.29 and 1.74 with SMLAD, inner loop alone); cycles per MAC
# modelled from them for a core that issues up to two at once: float32 1.5-2.0, q16x8 0.65-1.05.
_M7 = 480e6
_DAISY = Board(
    "daisy", "Daisy Seed or Patch SM, Cortex-M7 at 480 MHz", _M7,
    {"float32": Range(1.5, 2.0).inverse(_M7), "bf16w": Range(1.7, 2.6).inverse(_M7),
     "q16x8": Range(0.65, 1.05).inverse(_M7)},
    {"float32": 1.4, "bf16w": 1.4, "q16x8": 1.35},
    (
        # The stack takes 16 KiB; audio buffers for DMA 32 KiB of D2; program and data, started by
        # the bootloader from AXI SRAM, about 96 KiB there.
        Memory("DTCM", 128 * KIB, 112 * KIB, Range(1.9e9, 3.8e9), "scratch and state"),
        Memory("AXI SRAM", 512 * KIB, 416 * KIB, Range(0.5e9, 1.0e9), "weights read most often"),
        Memory("D2 SRAM", 288 * KIB, 256 * KIB, Range(0.25e9, 0.5e9), "long histories"),
        Memory("SDRAM", 64 * MIB, 63 * MIB, Range(0.1e9, 0.2e9), "weights read seldom"),
    ),
    placed=True, load_limit=0.65, tile_frames=4, rates_hz=(8000, 16000, 32000, 48000, 96000),
    file_bytes=8 * MIB - 256 * KIB - 256 * KIB,  # QSPI, less bootloader's part and program
    block_samples=48, cycles_per_instruction=Range(0.83, 1.11),
    source="sizes: STM32H750 reference and the board's linker scripts; SDRAM bandwidth, cycles "
           "per MAC: modelled; AXI, D2: from bus width and clock",
)

_PI_NOTE = ("MAC rates and DRAM bandwidth: estimates from memory, not measured here; caches: bus "
            "width and clock")


def _pi(name: str, title: str, clock_hz: float, macs: Range, *caches: Memory) -> Board:
    return Board(name, title, clock_hz, _same(macs), _VECTOR, caches, placed=False,
                 load_limit=0.5, tile_frames=6, source=_PI_NOTE)


def _cache(name: str, size_bytes: int, low: float, high: float) -> Memory:
    return Memory(name, size_bytes, size_bytes, Range(low, high))


BOARDS: dict[str, Board] = {board.name: board for board in (
    _DAISY,
    _pi("pi-zero2", "Raspberry Pi Zero 2 W, Cortex-A53 at 1.0 GHz", 1.0e9, Range(1.5e9, 2.0e9),
        _cache("L2 cache", 512 * KIB, 3e9, 6e9), _cache("DRAM", 512 * MIB, 2e9, 3e9)),
    _pi("pi3", "Raspberry Pi 3, Cortex-A53 at 1.2-1.4 GHz", 1.2e9, Range(1.8e9, 2.5e9),
        _cache("L2 cache", 512 * KIB, 4e9, 8e9), _cache("DRAM", 1024 * MIB, 2e9, 3e9)),
    _pi("pi4", "Raspberry Pi 4, Cortex-A72 at 1.5-1.8 GHz", 1.5e9, Range(4e9, 5e9),
        _cache("L2 cache", 1 * MIB, 8e9, 16e9), _cache("DRAM", 1024 * MIB, 4e9, 5e9)),
    _pi("pi5", "Raspberry Pi 5, Cortex-A76 at 2.4 GHz", 2.4e9, Range(10e9, 14e9),
        _cache("L2 cache", 512 * KIB, 20e9, 40e9), _cache("L3 cache", 2 * MIB, 12e9, 24e9),
        _cache("DRAM", 2048 * MIB, 10e9, 14e9)),
    Board("desktop", "one core of a desktop or laptop with AVX2, about 3 GHz", 3e9,
          _same(Range(12e9, 35e9)), _VECTOR,
          (_cache("L2 cache", 512 * KIB, 40e9, 80e9), _cache("L3 cache", 8 * MIB, 20e9, 40e9),
           _cache("DRAM", 8192 * MIB, 8e9, 15e9)),
          placed=False, load_limit=0.5, tile_frames=6,
          source="estimates; `rtf-bench` measures the machine at hand"),
)}


def board_named(name: str) -> Board:
    """The board called `name`, or an error that suggests one."""
    if name not in BOARDS:
        raise ConfigError(f"unknown target {name!r}{nearest(name, BOARDS)}")
    return BOARDS[name]
