"""Sources of data: folders, files and tables."""
