"""The registered models: a version a crowned study, and which of them is the champion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.study.description import Description
from pipeline.tracking import descriptions
from pipeline.tracking.markdown import note
from pipeline.tracking.model_package import packaged

HASH = "parameters_sha256"
LONGEST = 5_000  # letters of a description
PLACED = "placed"  # a version without this tag was made by a process that was killed before it gave an alias


def register(
    client: MlflowClient, run: str, folder: Path, described: Description, summary: Mapping[str, Any]
) -> str | None:
    """A new version of the task's model, from a folder with its two files; says what became of it.

    None where the registry has these files already.
    """
    name, mine = described.task, summary["files"][HASH]
    place = f"versions/{mine[:12]}"  # of its own: a later winner of the study does not change a version
    with packaged(folder, described, run, place) as served:
        client.log_artifacts(run, str(served), place)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"name = '{name}'")
    same = [each for each in known if (each.tags.get("study"), each.tags.get(HASH)) == (described.study, mine)]
    for version in same:
        if PLACED in version.tags:
            _describe(client, version, described, summary)
            return None
    score = summary["best"]["cross_validation"]["mean"]
    tags = {**described.decides, "cross_validation": repr(score), HASH: mine}
    source = f"{client.get_run(run).info.artifact_uri}/{place}"
    version = same[0] if same else client.create_model_version(name, source, run, tags=tags)
    champion, maximise = _champion(client, name), described.metric != "mean_absolute_error"
    before = None if champion is None or champion.version == version.version else champion.tags
    alias, why = _alias(before, tags, maximise=maximise)
    client.set_registered_model_alias(name, alias, version.version)
    _describe(client, version, described, summary)
    client.set_model_version_tag(name, version.version, PLACED, alias)
    return f"registered as models:/{name}@{alias} (version {version.version}: {why})"


def _describe(client: MlflowClient, version: ModelVersion, described: Description, summary: Mapping[str, Any]) -> None:
    """What the version is, and where it is the champion, the model's card."""
    name, number = version.name, version.version
    text = note(descriptions.version(described, summary), version.description, LONGEST)
    client.update_model_version(name, number, text)
    champion = _champion(client, name)
    if champion is not None and champion.version == number:
        before = client.get_registered_model(name).description
        client.update_registered_model(name, note(descriptions.card(described, summary), before, LONGEST))


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that holds the alias, if one does."""
    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _alias(champion: Mapping[str, str] | None, new: Mapping[str, str], *, maximise: bool) -> tuple[str, str]:
    """Whether a new version is the champion, and why; the test score never decides.

    A model of drawn pictures never takes the place of one of real data.
    """
    if champion is None:
        return "champion", "the first"
    if new["drawn"] != champion["drawn"]:
        real = new["drawn"] == "false"
        return ("champion", "real data replace drawn") if real else ("challenger", "drawn data never replace real")
    if new["data"] != champion["data"] and new["test_rows"] != champion["test_rows"]:
        return "champion", "it was tested on other rows than the champion before: the newest data win"
    differs = [name for name in ("data", "folds", "metric") if new[name] != champion[name]]
    if differs:
        return "challenger", f"its {' and '.join(differs)} are not the champion's: their scores cannot be compared"
    mine, theirs = float(new["cross_validation"]), float(champion["cross_validation"])
    if mine > theirs if maximise else mine < theirs:
        return "champion", "a better cross-validation score on the same folds"
    return "challenger", "no better cross-validation score than the champion's on the same folds"
