"""Strict types of fields: text is no number, numbers are finite, and unknown keys are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, GetPydanticSchema, Strict
from pydantic_core.core_schema import literal_schema

STRICT_CONFIG = ConfigDict(extra="forbid")
StrictInt = Annotated[int, Strict()]
FiniteFloat = Annotated[float, Strict(), Field(allow_inf_nan=False)]


def entry_name(registry: Mapping[str, Any]) -> GetPydanticSchema:
    """Return the metadata of a field that is the name of a registry's entry."""
    return GetPydanticSchema(lambda *_: literal_schema(list(registry)))


def named_entry(registry: Mapping[str, Any]) -> Any:
    """Return the type of a field that is written as the name of a registry's entry and read as that entry."""
    return Annotated[str, entry_name(registry), AfterValidator(registry.__getitem__)]


@dataclass(frozen=True)
class SearchField:
    """Metadata of a searchable field of `Model` or `Training`, within its `Annotated` type.

    active_with: settings of `model`, such as `nodes`, of which one must be non-empty for this one to have an effect.
    heads: the kinds of heads that it is for; none: all.
    """

    active_with: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
