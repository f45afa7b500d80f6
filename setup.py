"""What pyproject.toml cannot say: the C runtime is built at install by the system's compiler."""

from setuptools import setup

setup(cffi_modules=["engine/players/native_build.py:ffi"])
