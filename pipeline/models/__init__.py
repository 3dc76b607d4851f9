"""Torch modules of a model: networks, pretrained backbones and heads."""
