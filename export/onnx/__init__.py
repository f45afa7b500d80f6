"""Trained model -> ONNX with state as explicit inputs and outputs."""
