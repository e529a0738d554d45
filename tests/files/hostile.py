"""Content that no one should believe."""

import io
import struct
import zipfile

import numpy as np


def header(shape, version=1):
    file = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    write = np.lib.format.write_array_header_1_0
    (write if version == 1 else np.lib.format.write_array_header_2_0)(file, described)
    return file.getvalue()


def zipped(*members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def many_members(count):
    array = header((1,)) + bytes(8)
    return zipped(*((f"{j}.npy", array) for j in range(count)))


def bomb(size=1 << 26, declared=None):
    """Zeros that pack to less than a hundredth; the directory and the local header may understate them."""
    content = zipped(
        ("a.npy", header((size // 8,)) + bytes(size)),
        compression=zipfile.ZIP_DEFLATED,
        compresslevel=1,
    )
    if declared is not None:
        true = struct.pack("<L", size + len(header((size // 8,))))
        content = content.replace(true, struct.pack("<L", declared))
    return content
