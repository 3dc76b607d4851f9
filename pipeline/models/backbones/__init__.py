"""Pretrained backbones: their weights, and the features that they extract from images."""

from pipeline.models.backbones.feature_extraction import PretrainedBackbone

__all__ = ["PretrainedBackbone"]
