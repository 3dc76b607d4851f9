"""How many layers and nodes? A search that cross-validates and reports a score that can be believed."""
