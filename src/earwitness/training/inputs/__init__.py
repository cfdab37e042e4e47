"""Datasets of the training stages: examples, where they come from, and how they are batched."""
