"""Qt resources in memory.

Qt style sheets load images from files only. Resources avoid files on the disk.
"""

import struct
from collections.abc import Mapping

from PySide6.QtCore import qRegisterResourceData

_VERSION = 1
_FOLDER = 2
_registered: list[tuple[bytes, bytes, bytes]] = []
"""Registered data. Qt does not copy it, so it must stay alive."""


def register(folder: str, files: Mapping[str, bytes]) -> str:
    """Make files available under ``:/FOLDER/NAME``.

    The data has the format of Qt's ``rcc``.

    Args:
        folder: name of the resource folder.
        files: content by file name.

    Returns:
        The path of the folder, ``:/FOLDER``.

    Raises:
        ValueError: if Qt cannot read the resources.
    """
    names, data = bytearray(), bytearray()
    tree = bytearray(_node(_add_name(names, ""), _FOLDER, struct.pack(">II", 1, 1)))
    tree += _node(_add_name(names, folder), _FOLDER, struct.pack(">II", len(files), 2))
    for name in sorted(files, key=_hash):  # Qt does a binary search by hash
        tree += _node(_add_name(names, name), 0, struct.pack(">HHI", 0, 1, len(data)))
        data += struct.pack(">I", len(files[name])) + files[name]
    parts = bytes(tree), bytes(names), bytes(data)
    _registered.append(parts)
    if not qRegisterResourceData(_VERSION, *parts):
        raise ValueError(f"Qt cannot read the resources of {folder}.")
    return f":/{folder}"


def _node(name: int, kind: int, rest: bytes) -> bytes:
    return struct.pack(">IH", name, kind) + rest


def _add_name(names: bytearray, name: str) -> int:
    """Append a name and return its offset."""
    start = len(names)
    encoded = name.encode("utf-16-be")
    names += struct.pack(">HI", len(encoded) // 2, _hash(name)) + encoded
    return start


def _hash(name: str) -> int:
    """Return Qt's hash of a resource name."""
    value = 0
    for character in name:
        value = (value << 4) + ord(character)
        value ^= (value & 0xF0000000) >> 23
        value &= 0x0FFFFFFF
    return value
