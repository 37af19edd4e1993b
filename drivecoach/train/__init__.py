"""Pairs and a recipe in, a run folder with checkpoints and a fitted model or adapter out."""
