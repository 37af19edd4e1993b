"""How good a model is: scores on held-out pairs, and equality along the chain from weights to quantized file."""
