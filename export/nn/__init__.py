"""Trained model -> TorchScript for nn~ in Max and Pure Data."""
