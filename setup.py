"""Only what pyproject.toml cannot say: the C runtime is built at install with the system compiler."""

from setuptools import setup

setup(cffi_modules=["engine/native_build.py:ffi"])
