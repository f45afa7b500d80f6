"""Trained model -> TorchScript for nn~, ONNX with explicit state, native file; each verified."""
