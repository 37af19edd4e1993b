"""llama.cpp's own C functions, called in the shared library that the xllamacpp wheel brings."""
