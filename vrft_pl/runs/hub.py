"""An export pushed to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from vrft_pl.runs.card import BRANCH, Best, model_card
from vrft_pl.runs.folder import RunFolder
from vrft_pl.types import InputError


def refusal(name: str) -> str | None:
    """Why nothing can be pushed to a repository, as far as is known without asking; ``None`` where it may be."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        return f"Expected `push_to_hub` to be the id of a repository, such as `me/counts`, but got {name!r}: {error}"
    if constants.HF_HUB_OFFLINE:
        return f"Expected a network to push to {name}, but HF_HUB_OFFLINE is set. Push later by `hf upload`."
    if huggingface_hub.get_token() is None:
        return f"Expected a token to push to {name}, but there is none. `hf auth login` stores one; HF_TOKEN holds one."
    return None


def push(folder: RunFolder, name: str, private: bool = True, best: Best | None = None) -> str:
    """Write the card of a run beside its export, and push both.

    Args:
        folder: Folder of the run.
        name: Id of the repository, which is made where there is none.
        private: Whether one that is made is private; one that is there keeps who may see it.
        best: What chose the policy in ``export-best``, which is pushed to the branch ``best`` then, in place of the
            last policy to the main branch.

    Returns:
        Address of what was pushed.

    Raises:
        InputError: If there is no export, or it can't be pushed; it stays as it is.
    """
    place = folder.path / (RunFolder.EXPORT if best is None else RunFolder.EXPORT_BEST)
    branch = None if best is None else BRANCH
    if not place.is_dir():
        raise InputError(f"Expected an export to push at {place}, but there is none.")
    model_card(folder, name, (place / "adapter_config.json").is_file(), best).save(place / "README.md")
    try:
        api = HfApi()
        repository = api.create_repo(name, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repository.repo_id, branch=branch, exist_ok=True)
        api.upload_folder(
            repo_id=repository.repo_id, folder_path=place, revision=branch, commit_message="Export of vrft_pl"
        )
    except Exception as error:  # whatever it is, the run is over and its export whole
        raise InputError(unpushed(name, place, branch, error)) from error
    return str(repository) if branch is None else f"{repository}/tree/{branch}"


def unpushed(name: str, place: Path, branch: str | None, error: Exception) -> str:
    """What is said where a push failed."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    again = f"hf upload {name} {place}{f' --revision {branch}' if branch else ''}"
    return f"Expected to push to {name}, but: {reason}. The export is whole: `{again}` tries again."
