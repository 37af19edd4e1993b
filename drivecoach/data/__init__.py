"""Pairs in, checked and split pairs out."""
