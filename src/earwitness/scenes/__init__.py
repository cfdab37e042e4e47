"""Synthetic training clips: recordings mixed into scenes, with a caption of each."""
