"""Pretrained networks: where their weights come from, and what they make of pictures."""

from __future__ import annotations

from pipeline.models.backbones.feature_extraction import PretrainedBackbone

__all__ = ["PretrainedBackbone"]
