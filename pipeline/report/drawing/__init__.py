"""Figures as data, and the two renderers that draw them."""
