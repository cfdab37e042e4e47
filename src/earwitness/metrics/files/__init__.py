"""Captions from files: any table that people have becomes {role, ids, captions}, in steps of a module each.

`text` decodes bytes, `tables` and `json_layouts` find the rows, `columns` chooses the columns of a role,
`cells` reads a cell, `captions` brings them together, `pairing` matches two files by id, `scoring` scores
them.
A file that could be meant in two ways is refused, and the message says how to settle it.
"""
