"""Pretrained networks: where their weights come from, and what they make of pictures."""

from __future__ import annotations

from pipeline.backbones.features import Frozen

__all__ = ["Frozen"]
