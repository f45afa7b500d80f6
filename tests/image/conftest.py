"""A stock image and a card, made once for all of these tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firmware.tools import MissingToolError, tool
from tests.firmware.common_models import vae
from tests.firmware.pi_build import INTS, program, skip
from tests.image.image_machine import Machine
from tests.image.image_root import Stock, make_stock
from tests.image.image_trial import WANTED_BYTES, flash, heard, here, tiny


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    try:
        for name in ("mmdebstrap", "qemu-system-aarch64"):
            tool(name)
        program("arm64")
        return make_stock(tmp_path_factory.mktemp("stock"), heard().tobytes(), WANTED_BYTES)
    except MissingToolError as error:
        skip(str(error))
        raise


@pytest.fixture(scope="session")
def flashed(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flash(stock.image, tmp_path_factory.mktemp("flashed"))


@pytest.fixture
def machine(stock: Stock, flashed: Path, tmp_path: Path) -> Machine:
    card = tmp_path / "card.img"
    subprocess.run(["cp", "--sparse=always", str(flashed), str(card)], check=True)
    return Machine(stock, card, WANTED_BYTES)


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> INTS:
    return here(tmp_path_factory.mktemp("old"), tiny())


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory) -> INTS:
    return here(tmp_path_factory.mktemp("new"), vae())
