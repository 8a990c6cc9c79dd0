"""Models with their preprocessing as graphs for other runtimes: ONNX, LiteRT and TensorFlow's SavedModel."""
