"""Captions over HTTP: the server, its decoder processes, and its page."""
