"""Studies: the tables of a paper, trained, evaluated and set beside the published figures."""
