"""Downloads from a local hub server: selection, verification and removal of files, and messages for every fault."""

import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import load_file
from transformers import CLIPSegForImageSegmentation

from clipseg_live import Segmenter
from clipseg_live.cli.main import run
from clipseg_live.core.errors import ModelError
from clipseg_live.model.store import hub, loading
from tests.helpers.hub_server import Answer, HubServer, etag, files_of, secure, serving
from tests.helpers.paths import CERTIFICATES

REPOSITORY = "CIDAS/clipseg-rd16"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide an empty cache with downloads enabled, and a client without earlier connections."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    close_session()
    yield folder
    close_session()


@pytest.fixture
def server(tiny_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(HubServer(REPOSITORY, {**files_of(tiny_folder), "README.md": b"# A model"})) as running:
        connect(monkeypatch, running.url)
        yield running


def connect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Do what HF_ENDPOINT does at the import of the client."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


# --- downloads ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_what_is_needed_is_downloaded_once(server: HubServer, cache: Path) -> None:
    server.files |= {"pytorch_model.bin": b"large", "tf_model.h5": b"large", "flax_model.msgpack": b"large"}
    server.files["onnx.json"] = b"{}"
    files = loading.find_model_files("rd16")
    assert files.weights.name == "model.safetensors"
    expected = {"config.json", "merges.txt", "model.safetensors", "preprocessor_config.json", "vocab.json"}
    assert set(server.downloaded()) == expected | {"special_tokens_map.json", "tokenizer_config.json"}
    server.requests.clear()
    assert loading.find_model_files("rd16") == files and server.requests == []


@pytest.fixture(scope="module")
def network(tiny_folder: Path) -> CLIPSegForImageSegmentation:
    return CLIPSegForImageSegmentation.from_pretrained(tiny_folder)


@pytest.mark.slow
def test_a_repository_with_shards_is_downloaded(
    server: HubServer, network: CLIPSegForImageSegmentation, tmp_path: Path
) -> None:
    network.save_pretrained(tmp_path / "shards", max_shard_size=200_000)
    del server.files["model.safetensors"]
    server.files |= files_of(tmp_path / "shards") | {"model-old-shard.safetensors": b"not listed"}
    files = loading.find_model_files("rd16")
    assert len(files.shards) > 2
    weights = {name for name in server.downloaded() if "safetensors" in name}
    assert weights == {"model.safetensors.index.json", *(shard.name for shard in files.shards)}
    Segmenter.load(files, device="cpu")


@pytest.mark.slow
def test_a_repository_with_pytorch_weights_is_downloaded(server: HubServer, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    (tmp_path / "model.safetensors").write_bytes(server.files.pop("model.safetensors"))
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes(server.files.pop(name))
    CLIPTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "new")
    server.files["pytorch_model.bin"] = (tmp_path / "pytorch_model.bin").read_bytes()
    server.files["tokenizer.json"] = (tmp_path / "new" / "tokenizer.json").read_bytes()
    Segmenter.load("rd16", device="cpu")
    assert {"pytorch_model.bin", "tokenizer.json"} <= set(server.downloaded())


@pytest.mark.slow
def test_a_model_that_lacks_a_file_is_completed(server: HubServer) -> None:
    path = loading.find_model_files("rd16").folder / "vocab.json"
    path.unlink()
    with pytest.raises(ModelError, match=r"vocab\.json"):
        loading.find_model_files("rd16", download=False)
    assert loading.find_model_files("rd16").folder == path.parent and path.is_file()


@pytest.mark.slow
def test_a_broken_connection_is_resumed(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    server.break_after = 120_000
    assert loading.fetch_model("rd16").repaired == ()
    assert server.ranges == ["bytes=100000-"]


@pytest.mark.slow
def test_complete_files_are_not_downloaded_again(server: HubServer) -> None:
    weights = loading.find_model_files("rd16").weights
    weights.resolve().unlink()
    weights.unlink()
    server.requests.clear()
    loading.fetch_model("rd16")
    assert server.downloaded() == ["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:-1] + b"?", lambda _: b""])
def test_damaged_files_are_detected_and_downloaded_again(
    server: HubServer, capfd: pytest.CaptureFixture[str], name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = loading.find_model_files("rd16").folder / name
    path.resolve().write_bytes(damage(path.read_bytes()))
    server.requests.clear()
    assert run(["models", "fetch", "rd16"]) == 0
    assert f"{name} was damaged" in capfd.readouterr().err
    assert server.downloaded() == [name]
    assert path.read_bytes() == server.files[name]


@pytest.mark.slow
def test_files_that_always_arrive_damaged_are_reported(server: HubServer) -> None:
    server.spoil = lambda name, content: content[:-1] + b"?" if name == "vocab.json" else content
    with pytest.raises(ModelError, match=r"vocab\.json of .* arrives damaged"):
        loading.fetch_model("rd16")


@pytest.mark.slow
def test_force_downloads_everything_again(server: HubServer) -> None:
    loading.fetch_model("rd16")
    server.requests.clear()
    assert run(["models", "fetch", "rd16", "--force"]) == 0
    assert "model.safetensors" in server.downloaded() and "vocab.json" in server.downloaded()


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", "merges.txt", "model.safetensors"])
def test_an_incomplete_repository_is_rejected(server: HubServer, missing: str) -> None:
    del server.files[missing]
    with pytest.raises(ModelError, match=missing.replace(".", r"\.")):
        loading.find_model_files("rd16")


# --- removal --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exactly_one_model_is_removed(server: HubServer, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loading.fetch_model("rd16")
    home = hub.repository_folder(REPOSITORY)
    other = cache / "models--CIDAS--clipseg-rd16-other"
    shutil.copytree(home, other, symlinks=True)
    assert run(["models", "remove", "rd16"]) == 2  # no terminal for a question
    assert home.exists() and "--yes" in capfd.readouterr().err
    assert run(["models", "remove", REPOSITORY, "--yes"]) == 0
    assert not home.exists() and other.exists()
    assert run(["models", "remove", "rd16", "--yes"]) == 1
    assert "not on this machine" in capfd.readouterr().err


def test_files_of_an_interrupted_download_are_removed(cache: Path) -> None:
    home = hub.repository_folder(REPOSITORY)
    (home / "blobs").mkdir(parents=True)
    (home / "blobs" / "half.incomplete").write_bytes(b"half")
    assert run(["models", "remove", "rd16", "--yes"]) == 0
    assert not home.exists()


@pytest.mark.parametrize("command", ["fetch", "remove"])
@pytest.mark.parametrize("name", ["nothing", "somebody/else", "a folder", ".", "~"])
def test_other_names_are_rejected(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
    name: str,
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(["models", command, name]) == 2
    assert folder.exists() and capfd.readouterr().err.count("\n") == 1


def test_the_built_in_model_cannot_be_removed(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "remove", "shapes", "--yes"]) == 2
    assert run(["models", "fetch", "shapes"]) == 0
    assert loading.find_model_files("shapes").folder.is_dir()


# --- errors ---------------------------------------------------------------------------------------------------------


def on_api(status: int, **headers: str) -> Callable[[str], Answer | None]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda path: (status, given) if path.startswith("/api/") else None


def on_files(status: int, **headers: str) -> Callable[[str], Answer | None]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda path: (status, given) if "/resolve/" in path else None


REFUSALS: dict[str, tuple[Callable[[str], Answer | None], str]] = {
    "unknown repository": (on_api(404, X_Error_Code="RepoNotFound"), "no such repository, or a private one"),
    "private repository": (on_api(401), "no such repository, or a private one: .*hf auth login"),
    "token": (on_api(401, X_Error_Message="Invalid credentials in Authorization header"), "access token.*HF_TOKEN"),
    "gated": (on_files(403, X_Error_Code="GatedRepo"), f"gated: accept its terms at .*{REPOSITORY}.*hf auth login"),
    "gated without a login": (on_files(401, X_Error_Code="GatedRepo"), "gated: accept its terms"),
    "forbidden": (on_api(403, X_Error_Message="No"), r"refuses access \(403\)"),
    "forbidden file": (on_files(403), r"refuses access \(403\)"),
    "disabled": (on_files(403, X_Error_Message="Access to this resource is disabled."), "disabled this repository"),
    "revision": (on_api(404, X_Error_Code="RevisionNotFound"), "no such revision"),
    "file": (on_files(404, X_Error_Code="EntryNotFound"), r"no file [\w.]+:"),
    "another server": (on_api(404), r"no such page \(404\): check HF_ENDPOINT"),
    "too many requests": (on_api(429), "wait a few minutes"),
    "fault of the hub": (on_api(503), r"server error \(503\)"),
    "proxy": (on_api(407), "the proxy"),
    "another status": (on_api(418), "answered 418"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_each_http_error_has_its_own_message(
    server: HubServer, cache: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    server.refuse, sentence = REFUSALS[name]
    assert_explained(sentence)
    assert run(["models", "fetch", "rd16"]) == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_a_response_of_another_server_gives_an_error(server: HubServer) -> None:
    server.refuse = lambda path: (200, {"Content-Type": "text/html"})
    assert_explained("HF_ENDPOINT|has no weights")


@pytest.mark.slow
def test_an_endless_redirection_gives_an_error(server: HubServer) -> None:
    server.refuse = lambda path: (302, {"Location": f"{server.url}{path}"})
    assert_explained("HF_ENDPOINT")


@pytest.mark.slow
@pytest.mark.parametrize("cached", [False, True])
def test_offline_mode_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    if cached:
        (loading.find_model_files("rd16").folder / "vocab.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_explained("HF_HUB_OFFLINE.*unset it")


@pytest.mark.slow
def test_a_complete_model_loads_in_offline_mode(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    loading.find_model_files("rd16")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert loading.find_model_files("rd16").weights.is_file() and server.requests == []


def test_a_missing_server_gives_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert_explained("cannot be reached: check the network")


def test_an_unknown_host_gives_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "http://no-such-host.invalid")
    assert_explained("cannot be reached: check the network")


@pytest.mark.parametrize("address", ["no address", "ftp://localhost", "http://[", "file:///tmp"])
def test_an_invalid_endpoint_gives_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    connect(monkeypatch, address)
    assert_explained("HF_ENDPOINT")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requires_a_password_gives_an_error(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", server.url)
    connect(monkeypatch, f"{scheme}://hub.invalid")
    server.refuse = lambda path: (407, {"Proxy-Authenticate": "Basic"})
    assert_explained(f"the proxy .*{scheme.upper()}_PROXY")
    assert server.requests


@pytest.mark.slow
def test_a_missing_proxy_gives_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    connect(monkeypatch, "https://hub.invalid")
    assert_explained("the proxy .*HTTPS_PROXY")


@pytest.mark.parametrize("certificate", ["self_signed", "expired", "other_host"])
def test_an_untrusted_certificate_gives_an_error(
    tiny_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, certificate: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
    running = HubServer(REPOSITORY, files_of(tiny_folder))
    secure(running, CERTIFICATES / f"{certificate}.pem")
    with serving(running):
        connect(monkeypatch, running.url)
        assert_explained("TLS certificate was not accepted.*SSL_CERT_FILE")


@pytest.mark.slow
def test_an_unresponsive_server_gives_an_error(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_TIMEOUT", 0.2)
    server.stall.set()
    assert_explained("did not answer in time")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the full device exists on Linux only")
def test_a_full_disk_gives_an_error(server: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file of the client is a link to /dev/full."""
    name = uuid.uuid4()
    monkeypatch.setattr("huggingface_hub.file_download.uuid.uuid4", lambda: name)
    blobs = hub.repository_folder(REPOSITORY) / "blobs"
    blobs.mkdir(parents=True)
    for file, content in server.files.items():
        (blobs / f"{etag(file, content)}.{name.hex[:8]}.incomplete").symlink_to("/dev/full")
    assert_explained("the disk is full: free space in .*HF_HUB_CACHE")


def test_an_unwritable_cache_gives_an_error(server: HubServer, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert_explained("cannot be written .*HF_HUB_CACHE")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/sys"), reason="a folder that even root cannot write exists on Linux only")
def test_a_cache_without_permission_gives_an_error(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/sys/clipseg-live")
    assert_explained("/sys/clipseg-live cannot be written .*HF_HUB_CACHE")


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def assert_explained(sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        loading.find_model_files("rd16")
    text = str(caught.value)
    assert "\n" not in text and len(text) < 450 and text.endswith(".") and REPOSITORY in text
