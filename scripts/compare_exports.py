"""Check that a change of the code does not change results: record them before it, and compare them after it.

    python scripts/compare_exports.py record FOLDER
    python scripts/compare_exports.py compare FOLDER

``record`` exports the cases below with the model ``shapes``. It keeps digests of all frames, audio and data in FOLDER,
and of the help of all commands and the default settings. ``compare`` repeats this and prints the differences. Its exit
code is 1 if there are any. Use the same machine for both: encoders and the model give other bits on another one.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

DATA = ROOT / "tests" / "data"
PICTURES = ROOT / "docs" / "pictures"
RED, BLUE = ("-p", "red circle"), ("-p", "blue square")
CASES: dict[str, tuple[object, ...]] = {
    "demo": ("demo:", "--to", "2", *RED, *BLUE, "-o", "out.mp4", "--data", "jsonl:out.jsonl", "--data", "csv:out.csv"),
    "causal": ("demo:3", "--to", "2", *RED, "--time", "causal", "-o", "out.mkv", "--codec", "ffv1"),
    "data sets": ("demo:5", "--to", "1", *RED, *BLUE, "--data", "coco:coco", "--data", "yolo:yolo", "--every", "5"),
    "mask files": (
        "demo:7", "--to", "1", *RED, *BLUE, "--data", "png:png", "--data", "indexed:indexed", "--data", "npz:npz",
        "--data", "mask-video:masks.mp4", "--data", "sheet:sheet.png",
    ),
    "transparency": (
        "demo:8", "--to", "1", *RED, "--alpha", "-o", "out.mov", "--data", "animation-webp:out.webp",
        "--data", "animation-gif:out.gif", "--data", "alpha-vp9:out.webm",
    ),
    "effects": (
        "demo:9", "--to", "1", *RED, *BLUE, "--effect", "spotlight+glow+outline(width=0.4)+labels", "--grow", "1",
        "--feather", "1", "--fill", "1", "--together", "exclusive", "-o", "out.webm",
    ),
    "privacy": ("demo:10", "--to", "1", *RED, "--preset", "privacy", "-o", "out.mp4"),
    "roles": ("demo:11", "--to", "1", "-p", "circle", "--negative", "red", "--contrast", "blue", "-o", "out.mp4"),
    "clock that jumps": (DATA / "hls_ad.ts", *RED, "-o", "out.mp4"),
    "lost packets": (DATA / "lost.ts", *RED, "-o", "out.mkv", "--keep-partial"),
    "hdr to sdr": (DATA / "phone_hlg.mov", *RED, "-o", "out.mp4"),
    "hdr": (DATA / "phone_hlg.mov", *RED, "-o", "out.mkv", "--hdr", "keep"),
    "sound": (DATA / "sy_truehd.mkv", *RED, "-o", "out.mkv"),
    "animated image": (DATA / "an.webp", *RED, "-o", "out.mp4"),
    "photos": (DATA / "p3.png", PICTURES / "scene.png", *RED, "-o", "photos", "--data", "coco:coco"),
    "detail": ("demo:12", "--to", "0.5", *RED, "--detail", "tiles", "-o", "out.mp4"),
}  # fmt: skip
COMMANDS = ("", "export", "live", "watch", "record", "camera", "bench", "doctor", "models")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", metavar="WORD", default="", help="only cases whose name contains this word")
    options = parser.parse_args()
    stored = options.folder / "results.json"
    after: dict[str, dict[str, str]] = {}
    for name, digests in results(options.only):
        after[name] = digests
        print(f"{name}: {len(digests)} digests", flush=True)
    if options.action == "record":
        options.folder.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(after, indent=1), encoding="utf-8")
        return 0
    before = {name: value for name, value in json.loads(stored.read_text("utf-8")).items() if options.only in name}
    lines = list(differences(before, after))
    print("\n".join(lines) or "All results are the same.")
    return 1 if lines else 0


def results(only: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each case, and its digests by the name of the stream, file or command."""
    for name, arguments in CASES.items():
        if only in name:
            with tempfile.TemporaryDirectory() as folder:
                yield name, export_digests(Path(folder), arguments)
    if only in "help":
        yield "help", {command or "(none)": digest(help_of(command).encode()) for command in COMMANDS}
    if only in "settings":
        yield "settings", {"defaults": digest(default_settings().encode())}


def export_digests(folder: Path, arguments: tuple[object, ...]) -> dict[str, str]:
    """Run an export in a folder, and return the digests of its streams and data, and its exit code."""
    command = [sys.executable, "-m", "clipseg_live", "export", *map(str, arguments), "--model", "shapes"]
    completed = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=environment())
    digests = {"exit code": str(completed.returncode)}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            if path.suffix in (".mp4", ".mkv", ".mov", ".webm", ".gif"):
                digests |= {f"{name} {stream}": value for stream, value in streams(path).items()}
            else:
                digests[name] = digest(path.read_bytes())
    return digests


def streams(path: Path) -> dict[str, str]:
    """Return a digest of the times and samples of each stream of a media file."""
    import av

    digests = {}
    with av.open(str(path)) as container:
        hashes = {stream.index: hashlib.sha256() for stream in container.streams if stream.type in ("video", "audio")}
        for packet in container.demux([container.streams[index] for index in hashes]):
            for frame in packet.decode():
                value = hashes[packet.stream.index]
                value.update(f"{frame.pts} {frame.time_base} {frame.format.name}".encode())
                for plane in frame.planes:
                    value.update(bytes(plane))
        for index, value in hashes.items():
            digests[f"{container.streams[index].type} {index}"] = value.hexdigest()[:16]
    return digests


def help_of(command: str) -> str:
    words = [sys.executable, "-m", "clipseg_live", *([command] if command else []), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environment()).stdout


def default_settings() -> str:
    from clipseg_live import ExportSettings, LiveSettings

    return LiveSettings().model_dump_json() + ExportSettings().model_dump_json()


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def differences(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> Iterator[str]:
    for case in dict.fromkeys((*before, *after)):
        old, new = before.get(case, {}), after.get(case, {})
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                yield f"{case}: {name}: {old.get(name, 'missing')} before, {new.get(name, 'missing')} now"


if __name__ == "__main__":
    sys.exit(main())
