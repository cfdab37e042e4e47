"""Composition of captioned training clips from labelled recordings."""
