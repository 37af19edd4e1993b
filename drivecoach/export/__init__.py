"""A fitted model in, files for serving out: merged model, GGUF, quantized GGUF, Modelfile."""
