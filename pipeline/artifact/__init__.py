"""A trained model as two verified files."""
