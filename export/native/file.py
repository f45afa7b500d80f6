"""Writes `.tudor` files: sections, text, packed weights, checksum. Knows nothing of graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.players import native_format as fmt

FloatArray = NDArray[np.float32]
TINY = np.float32(2.0**-60)  # smaller weights become 0: products must not leave the normal range


def clean(values: Any, what: str = "weights") -> FloatArray:
    """float32, finite, without tiny numbers."""
    array = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} hold NaN or infinity")
    return np.where(np.abs(array) < TINY, np.float32(0), array)


class FileWriter:
    """Collects records and turns them into bytes. Equal texts and weights are stored once."""

    def __init__(self) -> None:
        self._text = bytearray(b"\0")
        self._texts: dict[str, int] = {"": 0}
        self._weights = bytearray()
        self._stored: dict[bytes, int] = {}
        self.records: dict[str, list[bytes]] = {
            name: [] for name in ("method", "attribute", "buffer", "value", "op")
        }

    def text(self, value: str) -> int:
        """Offset of a string."""
        if value not in self._texts:
            self._texts[value] = len(self._text)
            self._text += value.encode("utf-8").replace(b"\0", b" ") + b"\0"
        return self._texts[value]

    def weights(self, values: FloatArray) -> int:
        """Byte offset of a tensor in the weights section."""
        return self._store(clean(values).astype("<f4").tobytes())

    def raw(self, values: NDArray[np.uint8]) -> int:
        """Byte offset of a packed tensor that is not float32."""
        return self._store(values.tobytes())

    def _store(self, data: bytes) -> int:
        if data not in self._stored:
            self._weights += bytes(-len(self._weights) % fmt.constants()["ALIGN"])
            self._stored[data] = len(self._weights)
            self._weights += data
        return self._stored[data]

    def add(self, record: str, **fields: float) -> int:
        """Append a record and return its index."""
        self.records[record].append(fmt.pack(record, **fields))
        return len(self.records[record]) - 1

    def finish(self, name: str, metadata: str, sample_rate_hz: int) -> bytes:
        """The whole file."""
        header: dict[str, float] = {
            "name": self.text(name), "metadata": self.text(metadata),
            "sample_rate_hz": sample_rate_hz,
        }
        align = fmt.constants()["ALIGN"]
        at = fmt.record_bytes("prefix") + fmt.record_bytes("header")
        body = bytearray()

        def section(data: bytes) -> int:
            body.extend(bytes(-(at + len(body)) % align))
            start = at + len(body)
            body.extend(data)
            return start

        for record, rows in self.records.items():
            header[f"{record}s"] = section(b"".join(rows))
            header[f"{record}s_count"] = len(rows)
        header["text"], header["text_bytes"] = section(bytes(self._text)), len(self._text)
        weights = bytes(self._weights) + bytes(-len(self._weights) % align) + bytes(align)
        header["weights"], header["weights_bytes"] = section(weights), len(weights)
        return seal(bytes(fmt.record_bytes("prefix")) + fmt.pack("header", **header) + bytes(body))


def seal(file: bytes) -> bytes:
    """Fill in the prefix: magic, version, length and checksum of all that follows it."""
    prefix = fmt.record_bytes("prefix")
    words = np.frombuffer(file, "<u4", offset=prefix).astype(np.uint64)
    with np.errstate(over="ignore"):
        total = int(words.sum(dtype=np.uint64))
        weighted = int((words * np.arange(1, words.size + 1, dtype=np.uint64)).sum(dtype=np.uint64))
    low, constants = 0xFFFFFFFF, fmt.constants()
    return fmt.pack(
        "prefix", magic=constants["MAGIC"], version=constants["VERSION"], file_bytes=len(file),
        sum_low=total & low, sum_high=total >> 32, weighted_low=weighted & low,
        weighted_high=weighted >> 32,
    ) + file[prefix:]
