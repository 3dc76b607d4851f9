"""Read a command line into a Search, or into a line for every mistake; nothing slow is imported here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from pipeline.config import auto, own_data, rules, rules_backbone, sections
from pipeline.config.backbone_catalogue import BACKBONE_NAMES, BACKBONES, PIXELS
from pipeline.config.compose import compose_config, list_options, resolve_groups
from pipeline.config.datasets import DATASETS
from pipeline.config.model import BackboneConfig
from pipeline.config.overrides import ConfigError, Override, parse_override
from pipeline.config.ranges import error_text, parse_range
from pipeline.config.schema import Search, SearchSpace
from pipeline.config.unknown_keys import describe_unknown_key
from pipeline.runtime.suggestions import did_you_mean

MISSING = "???"  # Hydra's mark of a value that has no default
PLAIN_PHRASES = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid tuple": "a list, such as [a,b]",
}
EXAMPLE_VALUES = {
    "dataset.root": "my_photos",
    "dataset.file": "my_table.csv",
    "dataset.train": "train.h5",
}


def read_search(arguments: Sequence[str], config_dir: Path | None = None) -> Search:
    """Return the search that the overrides describe.

    Raises ConfigError with **all** mistakes: each with the key as typed, the rule, the value and the nearest name.
    """
    overrides, mistakes = _parse_overrides(arguments)
    resolved, group_mistakes = resolve_groups(overrides, config_dir)
    mistakes += group_mistakes
    if not any(override.key == "task" for override in resolved):
        raise ConfigError(*mistakes)
    config, yaml = compose_config(resolved, config_dir)
    note = ""
    if auto.has_auto(config):
        raw_dataset = _with_image_size(config.get("dataset"), None)
        dataset = _ConfigReader(resolved, config_dir, []).read_kind("dataset", raw_dataset)
        resolved, note, auto_mistakes = auto.replace_auto(config, dataset, resolved)
        mistakes += auto_mistakes
        config, yaml = compose_config(resolved, config_dir)
    without_ranges = [override for override in resolved if override.key != "space" and not override.is_range]
    baseline, _ = compose_config([*without_ranges, parse_override("space=none")], config_dir)
    return _ConfigReader(resolved, config_dir, mistakes).build_search(config, baseline, yaml, note)


def _parse_overrides(arguments: Sequence[str]) -> tuple[list[Override], list[str]]:
    overrides = []
    mistakes: list[str] = []
    for text in arguments:
        try:
            override = parse_override(text)
        except ConfigError as error:
            mistakes += error.lines
            continue
        if override.is_sweep:
            values = text.partition("=")[2]
            mistakes.append(f"{text}: several values are a list, {override.key}=[{values}], or with -m a search each")
        else:
            overrides.append(override)
    return overrides, mistakes


class _ConfigReader:
    """Reads the sections of a configuration and collects the mistakes, so that all can be reported at once."""

    def __init__(self, overrides: Sequence[Override], config_dir: Path | None, mistakes: list[str]) -> None:
        self.overrides = overrides
        self.config_dir = config_dir
        self.mistakes = mistakes

    def build_search(self, config: dict[str, Any], baseline_config: dict[str, Any], yaml: str, note: str) -> Search:
        backbone = self.read_backbone(config.get("model"))
        parts: dict[str, Any] = {
            "dataset": self.read_kind("dataset", _with_image_size(config.get("dataset"), backbone)),
            "backbone": backbone,
            "head": self.read_kind("head", config.get("head")),
        }
        parts |= {key: self.read_section(key, config.get(key), kind) for key, kind in sections.SECTION_CLASSES.items()}
        parts |= {key: self.read_scalar(key, config.get(key)) for key in sections.SCALAR_TYPES}
        top_keys = [*parts, *sections.INTERPOLATION_KEYS, *sections.SEARCHABLE_CLASSES]
        self.report_unknown_keys("", config, [key for key in top_keys if key != "backbone"])
        settings = self.read_settings(config, backbone)
        baseline = self.read_settings(baseline_config, backbone)
        self.mistakes += rules.check_settings(parts, settings, {override.key for override in self.overrides})
        if self.mistakes:
            raise ConfigError(*dict.fromkeys(self.mistakes))
        assert backbone is not None
        defaults = sections.searchable_defaults()
        unused = {key for key, default in defaults.items() if settings[key] == default == baseline[key]}
        task = next(str(override.value) for override in reversed(self.overrides) if override.key == "task")
        task_name = own_data.name_task(task, parts["dataset"], list_options("task", self.config_dir))
        parts["question"] = parts["question"] or task_name.question
        return Search(
            task=task_name.name,
            overrides=tuple(override.text for override in self.overrides),
            yaml=yaml,
            note="; ".join(filter(None, (note, task_name.note))),
            config_dir=self.config_dir,
            space=_build_space(settings, backbone, unused),
            baseline=_build_space(baseline, backbone, unused),
            **parts,
        )

    def read_kind(self, section: str, raw: object) -> Any:
        """Return the section as the dataclass of its `kind`, or None."""
        classes = sections.KIND_CLASSES[section]
        name = raw.get("kind") if isinstance(raw, Mapping) else None
        if name in classes:
            return self.read_section(section, raw, classes[str(name)])
        if section == "head" and name == auto.AUTO:
            return None  # what kept it from being chosen is among the mistakes
        known = ", ".join(classes)
        self.mistakes.append(f"{section}.kind: one of {known}; got {name!r}{did_you_mean(str(name), list(classes))}")
        return None

    def read_backbone(self, raw: object) -> BackboneConfig | None:
        """Return the fields of `model` that all trials of a search share."""
        model = raw if isinstance(raw, Mapping) else {}
        for key in sections.BACKBONE_KEYS:
            if isinstance(model.get(key), Mapping):
                self.mistakes.append(f"model.{key}: one for a search, whose trials share it; got {model[key]}")
                return None
        fields = {key: model.get(key) for key in sections.BACKBONE_KEYS}
        name = fields.pop("backbone")
        if name not in BACKBONE_NAMES:
            known = "pixels, convolutions, efficientnet_lite0 or a network of torchvision's, such as resnet18"
            self.mistakes.append(f"model.backbone: {known}; got {name!r}{did_you_mean(str(name), BACKBONE_NAMES)}")
            name = PIXELS  # so that the rest is checked too
        return cast("BackboneConfig | None", self.validate("model", BackboneConfig, {"name": name, **fields}))

    def read_section(self, section: str, raw: object, section_class: type) -> Any:
        names = sections.list_field_names(section_class)
        if not isinstance(raw, Mapping):
            self.mistakes.append(f"{section}: holds {', '.join(names)}; got {raw!r}")
            return None
        self.report_unknown_keys(section, raw, names)
        given = sections.list_defaults(section_class) | dict(raw)
        values = {}
        for name in names:
            value = given.get(name, MISSING)
            if value == MISSING:
                key = f"{section}.{name}"
                self.mistakes.append(f"{key}: needs a value, such as {key}={EXAMPLE_VALUES.get(key, '...')}")
            else:
                values[name] = tuple(value) if isinstance(value, list) else value
        return self.validate(section, section_class, values)

    def read_settings(self, config: Mapping[str, Any], backbone: BackboneConfig | None) -> dict[str, Any]:
        """Return a value or a range for each searchable field."""
        settings: dict[str, Any] = {}
        defaults = sections.searchable_defaults()
        for section, classes in sections.SEARCHABLE_CLASSES.items():
            hints = sections.list_searchable_fields(classes)
            raw = config.get(section)
            raw = raw if isinstance(raw, Mapping) else {}
            self.report_unknown_keys(section, raw, [*(sections.BACKBONE_KEYS if section == "model" else ()), *hints])
            for name, hint in hints.items():
                key = f"{section}.{name}"
                settings[key] = self.read_setting(key, raw.get(name, defaults.get(key)), hint)
        if backbone is not None and backbone.is_pretrained:  # its outputs are computed once, before any augmentation
            settings |= {"training.flip": False, "training.shift": 0}
        return settings

    def read_scalar(self, key: str, raw: object) -> Any:
        if key == "metric" and raw == auto.AUTO:
            return None  # as for the head
        return self.validate(key, sections.SCALAR_TYPES[key], raw)

    def read_setting(self, key: str, raw: object, hint: Any) -> Any:
        if isinstance(raw, Mapping):
            try:
                return parse_range(raw, TypeAdapter(hint))
            except ValueError as error:
                self.mistakes.append(f"{key}: {error_text(error)}")
                return None
        if key in sections.LIST_KEYS and isinstance(raw, list):
            return self.validate(key, tuple[hint, ...], tuple(raw))
        return self.validate(key, hint, raw)

    def validate(self, key: str, hint: Any, raw: object) -> Any:
        try:
            return TypeAdapter(hint).validate_python(raw)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                field = f".{detail['loc'][0]}" if detail["loc"] and isinstance(detail["loc"][0], str) else ""
                if detail["type"] != "missing":  # read_section has reported it
                    self.mistakes.append(_format_validation_error(key + field, detail))
            return None

    def report_unknown_keys(self, group: str, raw: Mapping[str, Any], known: Sequence[str]) -> None:
        self.mistakes += [describe_unknown_key(group, name, known) for name in raw if name not in known]


def _build_space(settings: Mapping[str, Any], backbone: BackboneConfig, unused: set[str]) -> SearchSpace:
    """Return the settings that this search uses.

    unused: fields with a default that stand at it. They are left out, so that adding a field changes neither the hash
    nor the table of existing studies.
    """
    used = {key: value for key, value in settings.items() if key not in unused}
    return SearchSpace(rules_backbone.resolve_settings(used, backbone))


def _with_image_size(dataset: Any, backbone: BackboneConfig | None) -> Any:
    """Return the data set's section with size=auto replaced by the backbone's image size or the data set's own."""
    if not isinstance(dataset, Mapping) or dataset.get("size") != "auto" or dataset.get("kind") not in DATASETS:
        return dataset
    spec = BACKBONES[backbone.name] if backbone and backbone.is_pretrained else DATASETS[dataset["kind"]]
    return {**dataset, "size": spec.image_size}


def _format_validation_error(key: str, detail: Any) -> str:
    text = str(detail["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    expected = detail.get("ctx", {}).get("expected", "")
    options = [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")] if expected else []
    got = f"got {detail['input']!r}{did_you_mean(str(detail['input']), options)}"
    return f"{key}: {PLAIN_PHRASES.get(text, text)}; {got}"
