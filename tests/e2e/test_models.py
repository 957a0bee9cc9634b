"""``models fetch`` and ``models remove`` as processes, with a local hub server named by HF_ENDPOINT."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipseg_live.model.store import loading
from tests.helpers.hub_server import HubServer, files_of, serving

REPOSITORY = "CIDAS/clipseg-rd16"


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    """Serve the built-in model instead of the published one."""
    with serving(HubServer(REPOSITORY, files_of(loading.find_model_files("shapes").folder))) as running:
        yield running


def models(server: HubServer, cache: Path, *arguments: str, offline: str = "0") -> subprocess.CompletedProcess[str]:
    own = {"HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": offline, "NO_PROXY": "localhost"}
    command = [sys.executable, "-m", "clipseg_live", "models", *arguments]
    return subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def test_a_model_is_fetched_listed_used_offline_and_removed(server: HubServer, tmp_path: Path) -> None:
    refused = models(server, tmp_path, "fetch", "rd16", offline="1")
    assert refused.returncode == 1 and "HF_HUB_OFFLINE" in refused.stderr and refused.stderr.count("\n") == 1
    fetched = models(server, tmp_path, "fetch", "rd16")
    assert fetched.returncode == 0 and "is complete: 10." in fetched.stdout, fetched.stderr
    assert models(server, tmp_path, "fetch", "rd16", offline="1").returncode == 1  # nothing can be verified
    entries = json.loads(models(server, tmp_path, "--json", offline="1").stdout)
    (entry,) = [entry for entry in entries if entry["name"] == REPOSITORY]
    assert entry["whole"] is True and entry["bytes"] > 10_000_000
    removed = models(server, tmp_path, "remove", "rd16", "--yes", offline="1")
    assert removed.returncode == 0 and "was deleted" in removed.stdout
    assert not list(tmp_path.glob("models--*"))
    server.refuse = lambda path: (403, {"X-Error-Code": "GatedRepo"}) if "/resolve/" in path else None
    gated = models(server, tmp_path, "fetch", "rd16")
    assert gated.returncode == 1 and "accept its terms" in gated.stderr and gated.stderr.count("\n") == 1
