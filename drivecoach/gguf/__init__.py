"""The GGUF file format: reader, writer, vocabulary, architectures, quantization."""
