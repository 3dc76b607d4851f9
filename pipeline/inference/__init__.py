"""Inference: predictions of a trained model for files, requests and other runtimes."""
