"""The registered models: a version a crowned study, and which of them is the champion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.config.metrics import METRICS
from pipeline.study.description import StudyDescription
from pipeline.study.summary import StudySummary
from pipeline.tracking import descriptions
from pipeline.tracking.markdown import merge_note
from pipeline.tracking.model_package import package_model

PARAMETERS_HASH_KEY = "parameters_sha256"
MAX_DESCRIPTION_CHARS = 5_000  # letters of a description
ALIAS_SET_TAG = "placed"  # a version without this tag was made by a process that was killed before it gave an alias


def register_model(
    client: MlflowClient, run_id: str, model_folder: Path, description: StudyDescription, summary: StudySummary
) -> str | None:
    """A new version of the task's model, from a folder with its two files; says what became of it.

    None where the registry has these files already.
    """
    name, parameters_hash = description.task, summary.files.parameters_sha256
    artifact_path = (
        f"versions/{parameters_hash[:12]}"  # of its own: a later winner of the study does not change a version
    )
    with package_model(model_folder, description, run_id, artifact_path) as package_folder:
        client.log_artifacts(run_id, str(package_folder), artifact_path)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    existing_versions = client.search_model_versions(f"name = '{name}'")
    matching_versions = [
        each
        for each in existing_versions
        if (each.tags.get("study"), each.tags.get(PARAMETERS_HASH_KEY)) == (description.study, parameters_hash)
    ]
    for version in matching_versions:
        if ALIAS_SET_TAG in version.tags:
            _write_descriptions(client, version, description, summary)
            return None
    score = summary.best.cross_validation.mean
    tags = {**description.decides, "cross_validation": repr(score), PARAMETERS_HASH_KEY: parameters_hash}
    source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
    version = (
        matching_versions[0] if matching_versions else client.create_model_version(name, source, run_id, tags=tags)
    )
    champion, maximize = _get_champion(client, name), METRICS[description.metric].maximize
    champion_tags = None if champion is None or champion.version == version.version else champion.tags
    alias, reason = _choose_alias(champion_tags, tags, maximize=maximize)
    client.set_registered_model_alias(name, alias, version.version)
    _write_descriptions(client, version, description, summary)
    client.set_model_version_tag(name, version.version, ALIAS_SET_TAG, alias)
    return f"registered as models:/{name}@{alias} (version {version.version}: {reason})"


def _write_descriptions(
    client: MlflowClient, version: ModelVersion, description: StudyDescription, summary: StudySummary
) -> None:
    """What the version is, and where it is the champion, the model's card."""
    name, version_number = version.name, version.version
    text = merge_note(
        descriptions.describe_model_version(description, summary), version.description, MAX_DESCRIPTION_CHARS
    )
    client.update_model_version(name, version_number, text)
    champion = _get_champion(client, name)
    if champion is not None and champion.version == version_number:
        existing = client.get_registered_model(name).description
        client.update_registered_model(
            name, merge_note(descriptions.build_model_card(description, summary), existing, MAX_DESCRIPTION_CHARS)
        )


def _get_champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that holds the alias, if one does."""
    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _choose_alias(
    champion_tags: Mapping[str, str] | None, new_tags: Mapping[str, str], *, maximize: bool
) -> tuple[str, str]:
    """Whether a new version is the champion, and why; the test score never decides.

    A model of drawn pictures never takes the place of one of real data.
    """
    if champion_tags is None:
        return "champion", "the first"
    if new_tags["drawn"] != champion_tags["drawn"]:
        is_real = new_tags["drawn"] == "false"
        return ("champion", "real data replace drawn") if is_real else ("challenger", "drawn data never replace real")
    if new_tags["data"] != champion_tags["data"] and new_tags["test_rows"] != champion_tags["test_rows"]:
        return "champion", "it was tested on other rows than the champion before: the newest data win"
    differences = [name for name in ("data", "folds", "metric") if new_tags[name] != champion_tags[name]]
    if differences:
        return "challenger", f"its {' and '.join(differences)} are not the champion's: their scores cannot be compared"
    new_score, champion_score = float(new_tags["cross_validation"]), float(champion_tags["cross_validation"])
    if new_score > champion_score if maximize else new_score < champion_score:
        return "champion", "a better cross-validation score on the same folds"
    return "challenger", "no better cross-validation score than the champion's on the same folds"
