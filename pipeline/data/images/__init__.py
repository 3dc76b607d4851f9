"""Find, open, decode and cache image files."""
