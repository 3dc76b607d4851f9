"""A command's words become a Search, or one line for every mistake in them; nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from pipeline.config import rules, rules_convolutions, rules_finetuning, sections, suggestions
from pipeline.config.backbone_catalogue import BACKBONES, PIXELS, side
from pipeline.config.compose import ConfigError, composed, known_groups, nearest
from pipeline.config.model import Backbone
from pipeline.config.overrides import Word, parse
from pipeline.config.ranges import looks_like_range, read_range, refused
from pipeline.config.schema import Search, Space

MISSING = "???"  # as Hydra writes a value that a person is to give


def read(texts: Sequence[str], config_dir: Path | None = None) -> Search:
    """The search that these overrides describe.

    Raises ConfigError with **all** mistakes: each with the key as typed, the rule, what it got, the nearest name.
    """
    words, mistakes = _words(texts)
    known, unknown = known_groups(words, config_dir)
    mistakes += unknown
    if any(word.key == "task" for word in known):
        return _Reader(known, config_dir, mistakes).search(*_composed_twice(known, config_dir))
    raise ConfigError(mistakes)


def _composed_twice(words: Sequence[Word], config_dir: Path | None) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The configuration, the baseline's (with every range left out), and the first as YAML."""
    config, yaml = composed(words, config_dir)
    fixed = [word for word in words if word.key != "space" and not word.is_range]
    baseline, _ = composed([*fixed, parse("space=none")], config_dir)
    return config, baseline, yaml


def _words(texts: Sequence[str]) -> tuple[list[Word], list[str]]:
    words, mistakes = [], []
    for text in texts:
        try:
            word = parse(text)
        except ValueError as error:
            mistakes.append(str(error))
            continue
        if word.sweeps:
            listed = text.partition("=")[2]
            mistakes.append(f"{text}: several values are a list, {word.key}=[{listed}], or with -m a search each")
        else:
            words.append(word)
    return words, mistakes


class _Reader:
    """Collects mistakes while it reads, so that a person sees them all at once."""

    def __init__(self, words: Sequence[Word], config_dir: Path | None, mistakes: list[str]) -> None:
        self.words, self.config_dir, self.mistakes = words, config_dir, mistakes

    def search(self, config: dict[str, Any], baseline: dict[str, Any], yaml: str) -> Search:
        backbone = self.backbone(config.get("model"))
        parts: dict[str, Any] = {
            "dataset": self.kind("dataset", _sized(config, backbone), sections.DATASETS),
            "backbone": backbone,
            "head": self.kind("head", config, sections.HEADS),
        }
        parts |= {name: self.section(name, config.get(name), kind) for name, kind in sections.SECTIONS.items()}
        parts |= {key: self.single(key, config.get(key), kind) for key, kind in sections.SINGLE.items()}
        self.unknown("", config, [*(key for key in parts if key != "backbone"), *sections.FACTS, "model", "training"])
        settings = _without_moves(self.settings(config), backbone)
        fixed = _without_moves(self.settings(baseline, quiet=True), backbone)
        self.mistakes += rules.mistakes(parts, settings, self.words)
        if self.mistakes:
            raise ConfigError(list(dict.fromkeys(self.mistakes)))
        task = next(str(word.value) for word in reversed(self.words) if word.key == "task")
        typed = tuple(word.text for word in self.words)
        parts |= {
            "space": Space(rules_finetuning.used(rules_convolutions.used(settings, backbone), backbone)),
            "baseline": Space(rules_finetuning.used(rules_convolutions.used(fixed, backbone), backbone)),
            "config_dir": self.config_dir,
        }
        return Search(task=task, typed=typed, yaml=yaml, **parts)

    def kind(self, section: str, config: Mapping[str, Any], kinds: Mapping[str, type]) -> Any:
        """The section as the dataclass its `kind` names."""
        raw = config.get(section)
        name = raw.get("kind") if isinstance(raw, Mapping) else None
        if name not in kinds:
            known = ", ".join(kinds)
            self.mistakes.append(f"{section}.kind: one of {known}; got {name!r}{nearest(str(name), list(kinds))}")
            return None
        return self.section(section, raw, kinds[str(name)])

    def backbone(self, raw: object) -> Backbone | None:
        """What stands before the hidden layers: three fields of `model`, of which none is searched."""
        model = raw if isinstance(raw, Mapping) else {}
        for key in sections.FIXED:
            if looks_like_range(model.get(key)):
                self.mistakes.append(f"model.{key}: one for a search, whose trials share it; got {model[key]}")
                return None
        name = model.get("backbone")
        if name not in BACKBONES:
            known = "pixels, convolutions, efficientnet_lite0 or a network of torchvision's, such as resnet18"
            self.mistakes.append(f"model.backbone: {known}; got {name!r}{nearest(str(name), BACKBONES)}")
            name = PIXELS  # so that the rest is judged too
        rest = {key: model.get(key) for key in sections.FIXED if key != "backbone"}
        return cast("Backbone | None", self.validated("model", TypeAdapter(Backbone), {"name": name, **rest}))

    def section(self, section: str, raw: object, kind: type) -> Any:
        if not isinstance(raw, Mapping):
            self.mistakes.append(f"{section}: holds {', '.join(sections.names(kind))}; got {raw!r}")
            return None
        self.unknown(section, raw, sections.names(kind))
        known = {
            key: _tuples(raw[key])
            for key in sections.names(kind)
            if not self.missing(f"{section}.{key}", raw.get(key, MISSING))
        }
        return self.validated(section, TypeAdapter(kind), known)

    def single(self, key: str, raw: object, kind: Any) -> Any:
        return self.validated(key, TypeAdapter(kind), raw)

    def settings(self, config: Mapping[str, Any], quiet: bool = False) -> dict[str, Any]:
        """A value or a range for each searchable field."""
        found: dict[str, Any] = {}
        for section, kinds in sections.SEARCHED.items():
            hints = sections.searchable(kinds)
            raw = config.get(section)
            raw = raw if isinstance(raw, Mapping) else {}
            if not quiet:
                self.unknown(section, raw, [*(sections.FIXED if section == "model" else ()), *hints])
            for name, hint in hints.items():
                found[f"{section}.{name}"] = self.setting(f"{section}.{name}", raw.get(name), hint)
        return found

    def setting(self, key: str, raw: object, hint: Any) -> Any:
        field: TypeAdapter[Any] = TypeAdapter(hint)
        if looks_like_range(raw):
            assert isinstance(raw, Mapping)
            try:
                return read_range(raw, field)
            except ValueError as error:
                self.mistakes.append(f"{key}: {refused(error)}")
                return None
        if key in sections.LISTS and isinstance(raw, list):
            return self.validated(key, TypeAdapter(tuple[hint, ...]), tuple(raw))
        return self.validated(key, field, raw)

    def validated(self, key: str, adapter: TypeAdapter[Any], raw: object) -> Any:
        try:
            return adapter.validate_python(raw)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                field = f".{detail['loc'][0]}" if detail["loc"] and isinstance(detail["loc"][0], str) else ""
                if detail["type"] != "missing":
                    self.mistakes.append(_in_words(key + field, detail))
            return None

    def missing(self, key: str, value: object) -> bool:
        if value == MISSING:
            self.mistakes.append(f"{key}: needs a value, such as {key}={EXAMPLES.get(key, '...')}")
            return True
        return False

    def unknown(self, group: str, raw: Mapping[str, Any], known: Sequence[str]) -> None:
        elsewhere = [] if group else sections.every_key()
        for name in raw:
            if name not in known:
                others = sections.datasets_with(name) if group == "dataset" else []
                self.mistakes.append(
                    suggestions.of_others(name, others) or suggestions.unknown(group, name, known, elsewhere)
                )


PLAIN = {"a valid integer": "a whole number", "a valid number": "a number", "a valid boolean": "true or false"}
EXAMPLES = {
    "dataset.root": "my_photos",
    "dataset.file": "my_table.csv",
    "dataset.target": "price",
    "dataset.train": "train.h5",
}


def _without_moves(settings: dict[str, Any], backbone: Backbone | None) -> dict[str, Any]:
    """A space for pictures moves them; what a pretrained backbone has seen stays where it is."""
    seen = backbone is not None and backbone.pretrained
    return settings | {"training.flip": False, "training.shift": 0} if seen else settings


def _sized(config: Mapping[str, Any], backbone: Backbone | None) -> dict[str, Any]:
    """The configuration with the side of the pictures, where that is to be the backbone's own."""
    dataset = config.get("dataset")
    if not isinstance(dataset, Mapping) or dataset.get("size") != "auto":
        return dict(config)
    own = side(backbone.name if backbone else PIXELS, str(dataset.get("kind")))
    return {**config, "dataset": {**dataset, "size": own}}


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _in_words(key: str, detail: Any) -> str:
    text = str(detail["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    text = PLAIN.get(text, text)
    expected = detail.get("ctx", {}).get("expected", "")
    known = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")] if expected else []
    return f"{key}: {text}; got {detail['input']!r}{nearest(str(detail['input']), known)}"
