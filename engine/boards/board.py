"""What each board is: arithmetic, caches or memories, bandwidths, with how sure that is.

Every figure is an estimate or a maker's number, none was measured on a board by this project; a
`Range` spans what is believed. Rates are those of one core, in multiply-accumulates (MAC) and
bytes per second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.errors import ConfigError, nearest

KIB, MIB = 1024, 1024 * 1024
STATE_BYTES = {"float32": 4, "bf16w": 4, "q16x8": 2}  # of a number of state or scratch


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
class Kernels:
    """Instructions of the C runtime in one number format, counted in an emulator
    (tests/firmware/kernel_counts.py prints them). `_once`: of frames
    that no tile of frames is left for, and so come singly."""

    mac: float  # dense
    mac_once: float
    number: float  # beside the MACs: each number that a dense convolution puts out
    depthwise: float  # per MAC
    depthwise_once: float
    depthwise_number: float
    depthwise_number_once: float
    row: float  # each number of what runs by itself: an activation, a sum
    act: float  # per unit of what activations cost (engine/boards/work.py)
    call: float  # each operation of each call
    frame: float = 0  # each frame of a convolution, however wide


@dataclass(frozen=True)
class Instrument:
    """What firmware/common does around a model, controls moving, one channel in and out. In
    instructions counted in an emulator: `rtf-bench FILE --device m7 --instrument effect` (for a Pi
    `--device aarch64`)."""

    rate_hz: int  # of its codec; models of another rate are converted
    callback: float  # controls, status, the runtime's slices
    sample: float  # trim, dry delay, mix, DC blocker, limiter, queues
    channel: float  # the same of a second channel in and out, with a stream of its own
    tap: float  # of a filter between rates
    taps: int  # at the lower rate
    filter_bytes: int  # room for both filters
    limiter_samples: int  # that the limiter looks ahead
    buffers: int  # blocks from a converter and to one
    converters_ms: Range  # their own filters, in and out: about, from data sheets
    burst_macs: int  # a millisecond's room for the first frames of a drum voice's strokes
    ahead: bool = False  # those of the next one are made ahead


@dataclass(frozen=True)
class Board:
    """One core of a machine. With `placed` memories a plan says what lies where; else they are
    caches, and the smallest that holds everything counts."""

    name: str
    title: str
    clock_hz: float
    macs: dict[str, Range]  # per second and dtype: dense, several frames at a time
    kernels: dict[str, Kernels]
    instructions: Range  # per second, of all that is no dense MAC
    memories: tuple[Memory, ...]
    placed: bool
    load_limit: float  # of one core; what is left is for drivers and for what was not counted
    tile_frames: int  # frames that share one reading of the weights
    instrument: Instrument | None = None  # None: a host calls the model at the model's own rate
    file_bytes: int = 0  # flash for the model file; 0: no limit worth naming
    flash_reads: Range | None = None  # bytes per second
    block_samples: int = 128
    cycles_per_instruction: Range | None = None
    cycles_per_integer: Range | None = None  # of the sums of integer convolutions
    # By how much the upper end may be too low for convolutions of so few outputs or fewer.
    narrow: tuple[tuple[int, float], ...] = ()
    source: str = ""


def _arm_macs(rate: Range) -> dict[str, Range]:
    """Of each dtype, from that of float32: as much slower as it takes more instructions."""
    return {dtype: rate.scaled(_ARM_FLOAT.mac / kernels.mac) for dtype, kernels in _ARM.items()}


# Counted with GCC 12, whole files within a tenth of it (tests/firmware/test_emulated.py).
_M7_FLOAT = Kernels(1.63, 2.25, 14, 4.25, 8.0, 21, 63, 10, 4.0, 340)
_M7_BFLOAT = Kernels(2.03, 4.25, 15, 5.75, 14.0, 23, 75, 10, 4.0, 360)
_M7_INT = Kernels(1.18, 1.35, 34, 4.81, 8.0, 44, 78, 34, 3.3, 800, frame=340)
_ARM_FLOAT = Kernels(0.45, 0.56, 3.4, 2.1, 4.0, 10, 22, 4, 2.0, 380)
_ARM_BFLOAT = Kernels(0.46, 0.81, 3.4, 2.4, 5.0, 10, 22, 4, 2.0, 380)
_ARM_INT = Kernels(0.48, 0.53, 14, 1.5, 3.0, 18, 22, 8, 1.4, 990, frame=240)
_ARM = {"float32": _ARM_FLOAT, "bf16w": _ARM_BFLOAT, "q16x8": _ARM_INT}
_M7_HZ = 480e6
# Cycles per instruction of a core that issues up to two at once, modelled; integer sums pair
# better: 0.65-1.0 cycles for a MAC of q16x8, 1.35-1.8 for one of float32.
_M7_CYCLES, _M7_SMLAD_CYCLES = Range(0.83, 1.11), Range(0.55, 0.87)


def _m7_macs(kernels: Kernels, cycles: Range) -> Range:
    return cycles.scaled(kernels.mac).inverse(_M7_HZ)


_CONVERTERS_MS = Range(0.6, 1.0)
_M7_INSTRUMENT = Instrument(48000, 5000, 450, 270, 5.6, 32, 128 * KIB, 31, 2, _CONVERTERS_MS,
                             130_000, True)
_ARM_INSTRUMENT = Instrument(48000, 3500, 380, 230, 6.4, 32, 1024 * KIB, 31, 2, _CONVERTERS_MS,
                             600_000)

_DAISY = Board(
    "daisy", "Daisy Seed or Patch SM, Cortex-M7 at 480 MHz", _M7_HZ,
    {"float32": _m7_macs(_M7_FLOAT, _M7_CYCLES), "bf16w": _m7_macs(_M7_BFLOAT, _M7_CYCLES),
     "q16x8": _m7_macs(_M7_INT, _M7_SMLAD_CYCLES)},
    {"float32": _M7_FLOAT, "bf16w": _M7_BFLOAT, "q16x8": _M7_INT},
    _M7_CYCLES.inverse(_M7_HZ),
    (
        # The stack takes 16 KiB; audio buffers for DMA 32 KiB of D2, the instrument (its delay of
        # the dry sound) 160 KiB; data and heap, with the program in QSPI, 96 KiB of AXI SRAM.
        # firmware/daisy/places.h has the same figures.
        Memory("DTCM", 128 * KIB, 112 * KIB, Range(1.9e9, 3.8e9), "scratch and state"),
        Memory("AXI SRAM", 512 * KIB, 416 * KIB, Range(0.5e9, 1.0e9), "weights read most often"),
        Memory("D2 SRAM", 288 * KIB, 96 * KIB, Range(0.25e9, 0.5e9), "long histories"),
        Memory("SDRAM", 64 * MIB, 63 * MIB, Range(0.1e9, 0.2e9), "weights read seldom"),
    ),
    placed=True, load_limit=0.75, tile_frames=4, instrument=_M7_INSTRUMENT,
    file_bytes=6912 * KIB,  # QSPI from 0x90100000 to 0x907c0000, see firmware/daisy/store.h
    block_samples=48, cycles_per_instruction=_M7_CYCLES,
    cycles_per_integer=_M7_SMLAD_CYCLES, flash_reads=Range(30e6, 45e6),
    # Reported of amplifier models on a Daisy Seed with 2 to 4 channels: some 10 cycles for each MAC
    # in float32, twice what is counted here. Wide layers agree with what others measured.
    narrow=((4, 2.0), (8, 1.5)),
    source="sizes: STM32H750 reference and the board's linker scripts; instructions: counted in an "
           "emulator; cycles for each, SDRAM bandwidth: modelled; AXI, D2: bus width and clock",
)

_PI_NOTE = ("MAC rates and DRAM bandwidth: estimates from memory, not measured here; caches: bus "
            "width and clock")


def _pi(name: str, title: str, clock_hz: float, macs: Range, burst_macs: int, *caches: Memory
        ) -> Board:
    return Board(name, title, clock_hz, _arm_macs(macs), _ARM,
                 macs.scaled(_ARM_FLOAT.mac), caches, placed=False, load_limit=0.5, tile_frames=6,
                 instrument=replace(_ARM_INSTRUMENT, burst_macs=burst_macs), source=_PI_NOTE)


def _cache(name: str, size_bytes: int, low: float, high: float) -> Memory:
    return Memory(name, size_bytes, size_bytes, Range(low, high))


BOARDS: dict[str, Board] = {board.name: board for board in (
    _DAISY,
    _pi("pi-zero2", "Raspberry Pi Zero 2 W, Cortex-A53 at 1.0 GHz", 1.0e9, Range(1.5e9, 2.0e9),
        200_000,
        _cache("L2 cache", 512 * KIB, 3e9, 6e9), _cache("DRAM", 512 * MIB, 2e9, 3e9)),
    _pi("pi3", "Raspberry Pi 3, Cortex-A53 at 1.2-1.4 GHz", 1.2e9, Range(1.8e9, 2.5e9), 200_000,
        _cache("L2 cache", 512 * KIB, 4e9, 8e9), _cache("DRAM", 1024 * MIB, 2e9, 3e9)),
    _pi("pi4", "Raspberry Pi 4, Cortex-A72 at 1.5-1.8 GHz", 1.5e9, Range(4e9, 5e9), 600_000,
        _cache("L2 cache", 1 * MIB, 8e9, 16e9), _cache("DRAM", 1024 * MIB, 4e9, 5e9)),
    _pi("pi5", "Raspberry Pi 5, Cortex-A76 at 2.4 GHz", 2.4e9, Range(10e9, 14e9), 600_000,
        _cache("L2 cache", 512 * KIB, 20e9, 40e9), _cache("L3 cache", 2 * MIB, 12e9, 24e9),
        _cache("DRAM", 2048 * MIB, 10e9, 14e9)),
    Board("desktop", "one core of a desktop or laptop with AVX2, about 3 GHz", 3e9,
          _arm_macs(Range(12e9, 35e9)), _ARM, Range(5e9, 15e9),
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
