"""The module: boards around the runtime, from an emulated processor to the rack."""
