"""The embedded stand-in for an Ollama server: the same wire format, on a GGUF file that drivecoach exported."""
