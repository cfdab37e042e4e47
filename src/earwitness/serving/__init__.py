"""Captions over HTTP: the server, the processes that decode for it, and the page it hands out."""
