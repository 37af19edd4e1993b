"""The coach over HTTP: states at /coach behind the guard, and Ollama's wire format on a GGUF of drivecoach's."""
