"""Seeds derived from names: equal names give equal random numbers, on every machine and in every order."""

import hashlib

import torch


def derive_seed(*names: int | str) -> int:
    """Return an integer from 0 to 2**31 - 1 that depends on the names alone: the head of their SHA-256."""
    digest = hashlib.sha256(repr(names).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def make_generator(*names: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator whose seed depends on the names alone."""
    return torch.Generator(device=device).manual_seed(derive_seed(*names))
