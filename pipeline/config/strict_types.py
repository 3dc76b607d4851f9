"""What a person writes is taken as it stands: no text is a number, no number is infinite, no key is passed over."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, Strict

STRICT_CONFIG = ConfigDict(extra="forbid")
StrictInt = Annotated[int, Strict()]
FiniteFloat = Annotated[float, Strict(), Field(allow_inf_nan=False)]
