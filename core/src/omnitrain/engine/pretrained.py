"""Trained models and tokenizers by folder or hub name: where they are, whether their files are whole, and what failed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omnitrain.api.userfiles import user_path
from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError, Unreachable, said_by
from omnitrain.runs.directory import COMPONENT_FILE

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_SETTINGS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_LONGEST_REASON = 200


def find_pretrained(name: str, what: str = "model") -> str:
    """Return what a library is to load a model or tokenizer from: an absolute folder, or a name on the hub.

    A name is a folder's if there is one, if it is written as a path, or if its first part is a folder here; such a name
    is never asked of the hub. what: for the message. Raises DataError that names the nearest folder.
    """
    folder = user_path(name)
    if folder.is_dir():
        return str(folder.absolute())
    if folder.exists():
        raise DataError(f"{what} {name}: that is a file; expected the folder that holds config.json and the weights.")
    near = _nearest_folder(folder, 0.7 if _is_path(name) else 0.85)
    if _is_path(name) or near is not None:
        hint = f"; did you mean {near}?" if near is not None else f" (looked from {Path.cwd()})."
        raise DataError(f"{what} {name}: there is no such folder{hint}")
    return name


def _is_path(name: str) -> bool:
    first, *rest = name.split("/")
    return (
        name[:1] in (".", "/", "~") or "\\" in name or len(rest) != min(len(rest), 1) or (bool(rest) and Path(first).is_dir())
    )


def _nearest_folder(missing: Path, cutoff: float) -> Path | None:
    if not missing.parent.is_dir():
        return None
    names = [entry.name for entry in missing.parent.iterdir() if entry.is_dir()]
    found = difflib.get_close_matches(missing.name, names, n=1, cutoff=cutoff)
    return missing.parent / found[0] if found else None


def check_model_folder(folder: Path) -> None:
    """Refuse a folder whose model can't be read: no config, weights that are absent, cut, pickled, or only a pointer to them.

    Only beginnings and sizes of files are read. Raises DataError that names the file and what to do.
    """
    check_settings_files(folder)
    if (folder / "adapter_config.json").is_file():
        ours = (folder / COMPONENT_FILE).is_file()
        how = f"'omnitrain export {folder} NEW_FOLDER'" if ours else "merge_and_unload and save_pretrained of peft"
        raise DataError(f"{folder} holds LoRA adapters, not a whole model; merge them first: {how}.")
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} holds no config.json; expected a folder that save_pretrained of transformers wrote.")
    for file in weight_files(folder):
        check_safetensors(file)


def check_settings_files(folder: Path) -> None:
    """Refuse a folder with a settings or tokenizer file that is no JSON object. Raises DataError that names the file."""
    for name in _SETTINGS:
        if (folder / name).is_file() and not isinstance(_read_json(folder / name), dict):
            raise DataError(f"{folder / name} holds no JSON object, as such a file does; fetch it again.")


def _read_json(path: Path) -> object:
    content = path.read_bytes()
    if content.startswith(_POINTER):
        raise DataError(_pointer(path))
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); it may be cut: fetch it again.") from error


def _pointer(path: Path) -> str:
    return f"{path} is a pointer of Git LFS, not the file itself; fetch it with 'git lfs pull'."


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights. Raises DataError where one is missing."""
    index = folder / INDEX
    if index.is_file():
        found = _read_json(index)
        parts = found.get("weight_map") if isinstance(found, dict) else None
        if not isinstance(parts, dict):
            raise DataError(f"{index} has no weight_map; fetch it again.")
        files = [folder / str(name) for name in sorted(set(parts.values()))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise DataError(
                f"{folder} lacks {', '.join(missing)} of the {len(files)} files of weights that {INDEX} lists: fetch them too."
            )
        return files
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5") for file in folder.glob(pattern))
    if pickled:
        raise DataError(
            f"{folder} holds its weights as {pickled[0]}; only safetensors are read, since other weight files can run code: "
            "convert it with transformers first."
        )
    raise DataError(f"{folder} holds no weights; expected {WEIGHTS}, or {INDEX} with its files.")


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file that is cut, or is none. Raises DataError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start + file.read(len(_POINTER) - 8) == _POINTER:
            raise DataError(_pointer(path))
        length = int.from_bytes(start, "little")
        if size < 8 or length > size - 8:
            raise DataError(f"{path} is no whole safetensors file: it ends within its header; fetch it again.")
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise DataError(f"{path} is no safetensors file: its header can't be read.") from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise DataError(f"{path} is no whole safetensors file: it has {size:,} bytes of {wanted:,}; fetch it again.")


@contextmanager
def explained_loading(name: str, what: str = "model") -> Iterator[None]:
    """Turn whatever a library raises while it loads something by name into one sentence; shortage of memory goes through.

    Raises DataError for a folder, Unreachable for a name on the hub, EnvironmentFault for a library that is missing.
    """
    import torch

    try:
        yield
    except (OmnitrainError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise EnvironmentFault(f"{what} {name}: a library that it needs is missing: {_reason(error)}") from error
    except Exception as error:
        if Path(name).is_dir():
            raise DataError(f"{what} {name} can't be loaded: {_reason(error)}") from error
        raise Unreachable(
            f"{what} {name}: there is no such folder here, nor could it be loaded from the hub ({_reason(error)}). Download "
            "it where there is a network, and name its folder."
        ) from error


def _reason(error: BaseException) -> str:
    text = said_by(error) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON].rsplit(" ", 1)[0] + " ..."
