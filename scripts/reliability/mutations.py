"""Seeded damage of files, as caused by disks, networks, power loss and attackers."""

import struct
from collections.abc import Callable, Sequence
from random import Random

_LARGEST = 4096
"""Largest block in bytes that is moved, repeated or removed."""


def mutate(data: bytes, random: Random) -> tuple[str, bytes]:
    """Damage a file.

    Returns:
        The kind of damage (a key of MUTATIONS), and the damaged bytes. They always differ from the original.
    """
    if len(data) < 2:  # there is nothing to damage
        return "noise", data + random.randbytes(64)
    for _ in range(20):
        damage = random.choice(list(MUTATIONS))
        changed = MUTATIONS[damage](data, random)
        if changed != data:
            return damage, changed
    return "cut short", data[: len(data) // 2]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(1, max(len(data), 2))]


def _emptied(data: bytes, random: Random) -> bytes:
    return data[: random.choice((0, 0, 1, 4, 8, 11))]


def _head_lost(data: bytes, random: Random) -> bytes:
    return data[random.randrange(1, min(len(data), _LARGEST)) :]


def _bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 4, 32, 256))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _bits_of_the_head(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 3, 9))):
        changed[random.randrange(min(len(changed), 600))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, random: Random) -> bytes:
    begin, end = _block(data, random)
    return data[:begin] + bytes(end - begin) + data[end:]


def _noise(data: bytes, random: Random) -> bytes:
    begin, end = _block(data, random)
    return data[:begin] + random.randbytes(end - begin) + data[end:]


def _removed(data: bytes, random: Random) -> bytes:
    begin, end = _block(data, random)
    return data[:begin] + data[end:]


def _repeated(data: bytes, random: Random) -> bytes:
    begin, end = _block(data, random)
    return data[:end] + data[begin:end] * random.choice((1, 1, 8)) + data[end:]


def _swapped(data: bytes, random: Random) -> bytes:
    begin, end = _block(data, random)
    middle = (begin + end) // 2
    return data[:begin] + data[middle:end] + data[begin:middle] + data[end:]


def _large_numbers(data: bytes, random: Random) -> bytes:
    """Replace some four-byte numbers with limits. Sizes, counts and offsets are mostly small numbers of four bytes."""
    changed = bytearray(data)
    small = [at for at in range(0, min(len(data) - 4, 200_000)) if data[at : at + 2] == b"\0\0"]
    for _ in range(random.choice((1, 2, 5))):
        at = random.choice(small or [0])
        value = random.choice((0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x00FFFFFF, 0x10000, 1, 0))
        changed[at : at + 4] = struct.pack(random.choice((">I", "<I")), value)
    return bytes(changed)


def _odd_sizes(data: bytes, random: Random) -> bytes:
    """Replace the sides of an image, as two or four bytes in either order, by odd, tiny or enormous numbers."""
    sides = [64, 48, 63, 47]
    changed = bytearray(data)
    for side in random.sample(sides, 2):
        for form in (">H", "<H", ">I", "<I"):
            old = struct.pack(form, side)
            value = random.choice((side + 1, side - 1, 1, 0, 16383, 65535))
            at = data.find(old, 4)
            if at >= 0:
                changed[at : at + len(old)] = struct.pack(form, value)
    return bytes(changed)


def _boxes(data: bytes, random: Random) -> bytes:
    """Reorder, remove or repeat boxes of an ISO file, or equal parts of another file."""
    parts = _split(data)
    if len(parts) < 2:
        return data
    kind = random.randrange(3)
    if kind == 0:
        random.shuffle(parts)
    elif kind == 1:
        del parts[random.randrange(len(parts))]
    else:
        parts.insert(random.randrange(len(parts)), random.choice(parts))
    return b"".join(parts)


def _block(data: bytes, random: Random) -> tuple[int, int]:
    length = random.randrange(1, max(min(_LARGEST, len(data)), 2))
    begin = random.randrange(max(len(data) - length, 1))
    return begin, begin + length


def _split(data: bytes) -> list[bytes]:
    """Return the top-level boxes of an ISO file, or eight parts of another file."""
    parts: list[bytes] = []
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8 or not data[at + 4 : at + 8].isalnum() or at + length > len(data):
            break
        parts.append(data[at : at + length])
        at += length
    if at == len(data):
        return parts
    step = max(len(data) // 8, 1)
    return [data[start : start + step] for start in range(0, len(data), step)]


MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    "cut short": _cut,
    "emptied": _emptied,
    "head lost": _head_lost,
    "bits flipped": _bits,
    "bits of the head flipped": _bits_of_the_head,
    "zeroed": _zeroed,
    "noise": _noise,
    "block removed": _removed,
    "block repeated": _repeated,
    "blocks swapped": _swapped,
    "large numbers": _large_numbers,
    "odd sizes": _odd_sizes,
    "boxes out of order": _boxes,
}


def mutated(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> tuple[str, str, bytes]:
    """Return the ``number``-th damaged file of a seed: its name, the damage and its bytes. Some are damaged twice."""
    random = Random(f"{seed}/{number}")
    name, data = files[number % len(files)]
    damage, data = mutate(data, random)
    if data and random.random() < 0.2:
        more, data = mutate(data, random)
        damage = damage if more == damage else f"{damage}, {more}"
    return name, damage, data
