"""Registered models: one version per finished study, and the choice of the champion."""

from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.config.metrics import METRICS
from pipeline.study.description import StudyDescription
from pipeline.study.summary import StudySummary
from pipeline.tracking.descriptions import build_model_card, describe_model_version
from pipeline.tracking.markdown import merge_note
from pipeline.tracking.model_package import package_model

PARAMETERS_HASH_TAG = "parameters_sha256"
MAX_DESCRIPTION_CHARS = 5_000
ALIAS_SET_TAG = "placed"  # missing on a version whose writer was killed before it set the alias


def register_model(
    client: MlflowClient, run_id: str, model_folder: Path, description: StudyDescription, summary: StudySummary
) -> str | None:
    """Register a model, from the folder with its two files, as a new version with an alias.

    Returns a message with the model's URI, or None if the registry has these files already.
    """
    name = description.task
    parameters_hash = summary.files.parameters_sha256
    artifact_path = f"versions/{parameters_hash[:12]}"  # a later winner of the study leaves it as it is
    with package_model(model_folder, description, run_id, artifact_path) as package_folder:
        client.log_artifacts(run_id, str(package_folder), artifact_path)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    score = repr(summary.best.cross_validation.mean)
    tags = {**description.decides, "cross_validation": score, PARAMETERS_HASH_TAG: parameters_hash}
    identity = {key: tags[key] for key in ("study", PARAMETERS_HASH_TAG)}.items()
    versions = [each for each in client.search_model_versions(f"name = '{name}'") if identity <= each.tags.items()]
    registered_version = next((each for each in versions if ALIAS_SET_TAG in each.tags), None)
    if registered_version is not None:
        _write_notes(client, registered_version, description, summary)
        return None
    source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
    version = versions[0] if versions else client.create_model_version(name, source, run_id, tags=tags)
    champion = _get_champion(client, name)
    champion_tags = None if champion is None or champion.version == version.version else champion.tags
    alias, reason = _choose_alias(champion_tags, tags, maximize=METRICS[description.metric].maximize)
    client.set_registered_model_alias(name, alias, version.version)
    _write_notes(client, version, description, summary)
    client.set_model_version_tag(name, version.version, ALIAS_SET_TAG, alias)
    return f"registered as models:/{name}@{alias} (version {version.version}: {reason})"


def _write_notes(client: MlflowClient, version: ModelVersion, study: StudyDescription, summary: StudySummary) -> None:
    """Write the version's description, and the model card if the version is the champion."""
    note = merge_note(describe_model_version(study, summary), version.description, MAX_DESCRIPTION_CHARS)
    client.update_model_version(version.name, version.version, note)
    champion = _get_champion(client, version.name)
    if champion is not None and champion.version == version.version:
        old_card = client.get_registered_model(version.name).description
        card = merge_note(build_model_card(study, summary), old_card, MAX_DESCRIPTION_CHARS)
        client.update_registered_model(version.name, card)


def _get_champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _choose_alias(champion: Mapping[str, str] | None, new: Mapping[str, str], *, maximize: bool) -> tuple[str, str]:
    """Return a new version's alias and the reason, from the tags of both versions; the test score never decides."""
    if champion is None:
        return "champion", "the first"
    if new["drawn"] != champion["drawn"]:
        if new["drawn"] == "false":
            return "champion", "trained on real data, the champion before on synthetic data"
        return "challenger", "trained on synthetic data, the champion on real data"
    if "target" in champion and new.get("target", champion["target"]) != champion["target"]:
        return "challenger", f"it predicts {new['target']}, the champion {champion['target']}"
    if new["data"] != champion["data"] and new["test_rows"] != champion["test_rows"]:
        return "champion", "newer data: it was tested on other rows than the champion before"
    differences = [name for name in ("data", "folds", "metric") if new[name] != champion[name]]
    if differences:
        return "challenger", f"its {' and '.join(differences)} are not the champion's: their scores cannot be compared"
    new_score = float(new["cross_validation"])
    champion_score = float(champion["cross_validation"])
    if new_score > champion_score if maximize else new_score < champion_score:
        return "champion", "a better cross-validation score on the same folds"
    return "challenger", "no better cross-validation score than the champion's on the same folds"
