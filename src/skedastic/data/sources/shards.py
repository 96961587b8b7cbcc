"""WebDataset shards: whether what is in an archive may be read. The package datasets reads it then.

That package unpacks archives and files in them by their endings, and hands some to torch.load. Headers alone are read
here.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from skedastic.errors import UserError
from skedastic.runtime.limits import check_unpacked

CODE = (".pth", ".pt", ".pkl", ".pickle", ".pyd", ".joblib", ".dill")  # endings of files that may hold pickles
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".npz")  # endings of files that would be unpacked


def check_shard(path: Path) -> None:
    """Check the headers of an archive.

    Parameters
    ----------
    path : Path
        The archive.

    Raises
    ------
    UserError
        It is compressed or no archive; or something in it is no file, may be a pickle, is packed, or is too large.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                _check(member, f"{path}, {member.name!r}")
    except (tarfile.TarError, ValueError, OverflowError, OSError) as error:
        if isinstance(error, UserError):
            raise
        rule = f"it is no tar archive, or a packed one ({error}); write it with tar, without compression"
        raise UserError(rule, setting=str(path)) from None


def _check(member: tarfile.TarInfo, place: str) -> None:
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        raise UserError("it is a link, a device or a sparse file; shards hold plain files alone", setting=place)
    name = member.name.lower()
    if name.endswith(CODE):
        raise UserError("it may be a pickle, and pickles are never read; save it as .npy or .json", setting=place)
    if name.endswith(PACKED):
        raise UserError("it is packed; put it into the shard as it is", setting=place)
    check_unpacked(place, member.size)
