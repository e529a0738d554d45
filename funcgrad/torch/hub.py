"""PyTorch's `torch.hub`, as far as files go: a state dict from a URL. Models come as code of PyTorch's, so `load` is missing."""

import os
import re
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.serialization import load as _load

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:  # type: ignore[no-redef]
        """In place of the package's: it shows nothing."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __enter__(self) -> "tqdm":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, n: float = 1) -> None:
            """Show nothing."""

        close = set_description = update


__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir", "tqdm"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


# Names of files end in the first digits of their SHA-256: `net-bfd8deac.pth`.
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")


class _Kept:
    folder: str | None = None


def get_dir() -> str:
    """The folder of downloaded files: `set_dir`'s, $TORCH_HOME/hub, or ~/.cache/torch/hub."""
    return _Kept.folder or os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    """The folder of PyTorch's files: $TORCH_HOME, or ~/.cache/torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike[str]) -> None:
    """Choose the folder of downloaded files."""
    _Kept.folder = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download a file; it appears under its name only when it is whole.

    Args:
        url: its address.
        dst: the file to write.
        hash_prefix: the first digits of its SHA-256.
        progress: accepted.

    Raises:
        RuntimeError: the hash is another one.
    """
    with urllib.request.urlopen(url) as source:
        content = source.read()
    digest = sha256(content).hexdigest()
    if hash_prefix is not None and not digest.startswith(hash_prefix):
        raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
    part = Path(f"{dst}.{os.getpid()}.partial")
    part.write_bytes(content)
    part.replace(dst)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """`torch.load` of a file that is downloaded once.

    Args:
        url: the file's address.
        model_dir: the folder to keep it in; `get_dir() + "/checkpoints"` if None.
        map_location, weights_only: as in `torch.load`.
        progress: accepted.
        check_hash: whether the file's name ends with a dash and the first digits of its SHA-256, to be checked.
        file_name: the name to keep it under; the address's own if None.

    Raises:
        RuntimeError: the hash is another one.
    """
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    own = os.path.basename(urlparse(url).path)
    kept = os.path.join(folder, file_name or own)
    if not os.path.exists(kept):
        digits = Path(own).stem.rpartition("-")[2] if check_hash else None
        download_url_to_file(url, kept, digits, progress)
    return _load(kept, map_location=map_location, weights_only=weights_only)
