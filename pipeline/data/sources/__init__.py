"""Loaders for folders, files, tables and downloads."""
