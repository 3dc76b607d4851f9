"""Pretrained backbones: their weights, and the features that they extract from images."""

from __future__ import annotations

from pipeline.models.backbones.feature_extraction import PretrainedBackbone

__all__ = ["PretrainedBackbone"]
