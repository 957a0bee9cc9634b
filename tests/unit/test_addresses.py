"""Displayed names of sources contain no credentials. The real addresses are kept."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.addresses import REVEAL, SCHEMES, SourceName, redact, safe_name
from clipseg_live.core.settings.live import SourceSpec

MARKS = "[]#?/@:%\\ =&;,.'\"<>()~é猫＠\u2028"
PASSWORDS = st.text("abcXYZ019" + MARKS, min_size=1, max_size=12).map(lambda text: f"Zq{text}9K")
USERS = st.text("abcxyz" + MARKS, max_size=6).map(lambda text: f"Us{text}eR")
HOSTS = st.sampled_from(["cam.local", "10.0.0.7:554", "[::1]", "[fe80::1%25eth0]:8554", "猫.example", "h", ""])
PATHS = st.sampled_from(["", "/", "/live/main", "/a b", "/猫", "//x", "/live?channel=1", "/x#top", "/%zz", "/[1]"])
TEXTS = ["{}", "'{}'", "Connection refused: '{}'", "[Errno 5] I/O error: {!r} (code 7)", "{}: lost", '{{"u": "{}"}}']


@st.composite
def secret_addresses(draw: st.DrawFn) -> tuple[str, str, str]:
    """Draw an address, its user and its password."""
    scheme = draw(st.sampled_from([*SCHEMES, "RTSP", "ftp", "srt", "tcp"]))
    mark = draw(st.sampled_from(["://", "://", ":/", ":\\", "///"]))
    user, password = draw(USERS), draw(PASSWORDS)
    mark = mark if mark != "///" else ":///"
    return f"{scheme}{mark}{user}:{password}@{draw(HOSTS)}{draw(PATHS)}", user, password


@pytest.mark.slow
@given(secret_addresses(), st.sampled_from(TEXTS))
def test_credentials_are_never_shown(case: tuple[str, str, str], text: str) -> None:
    address, user, password = case
    spec = SourceSpec(name=address)
    shown = [str(spec.name), repr(spec.name), f"{spec.name:>9}", "%s" % spec.name, repr(spec), str(spec)]  # noqa: UP031
    shown += [safe_name(address), str(spec.model_dump()), spec.model_dump_json(), redact(text.format(address))]
    for each in shown:
        assert password not in each and user not in each, each
        assert password[:2] not in each and password[-2:] not in each, each


@pytest.mark.slow
@given(secret_addresses())
def test_real_addresses_are_kept(case: tuple[str, str, str]) -> None:
    address = case[0]
    spec = SourceSpec(name=address)
    assert spec.name.reveal() == address and spec.name == address and hash(spec.name) == hash(address)
    saved = spec.model_dump_json(context=REVEAL)
    assert SourceSpec.model_validate_json(saved) == spec and SourceSpec.model_validate_json(saved).name == address
    for same in (pickle.loads(pickle.dumps(spec.name)), copy.deepcopy(spec.name), SourceName(spec.name)):
        assert same == spec.name and str(same) == str(spec.name)


@pytest.mark.slow
@given(st.text(max_size=60) | st.text("rtsph:/@[]#?%\\= .1a\n", max_size=60))
def test_any_text_can_be_masked(text: str) -> None:
    shown = str(SourceName(text))
    assert SourceName(text).reveal() == text and all(each.isprintable() for each in shown)
    assert safe_name(shown) == shown and redact(redact(text)) == redact(text)


@pytest.mark.parametrize("query", ["token=Zq9K", "a=1&api_key=Zq9K", "Zq9K", "user=ann&pwd=Zq9K", "sig=Zq9K#x"])
@pytest.mark.parametrize("address", ["http://cam.local/video.cgi?{}", "rtsp://10.0.0.7/{}", "https://h/a/b?x=y;{}"])
def test_tokens_are_never_shown(address: str, query: str) -> None:
    if "?" not in address and "=" not in query:
        return
    address = address.format(query)
    assert "Zq9K" not in safe_name(address) and "Zq9K" not in redact(f"404 Not Found: '{address}' (5)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'rtsp://ann:se cret@h/x' was lost", "'rtsp://h/x' was lost"),
        ("rtsp://h/x, then http://b:c@k:80/y.", "rtsp://h/x, then http://k:80/y."),
        ("refused: 'rtsp://u:p@h:554'", "refused: 'rtsp://h:554'"),
        ("open C:\\films\\me@home.mp4 at 10:30", "open C:\\films\\me@home.mp4 at 10:30"),
        ("There is no file rtsp:/u:p@h/x.", "There is no file rtsp:/h/x."),
        ("There is no file ann:secret@cam.local.", "There is no file …cam.local."),
        ('{"url": "rtsp:\\/\\/u:p@h\\/x"}', '{"url": "rtsp:\\/\\/h\\/x"}'),
        ("password=abc&x=1 token=12 count=3", "password=…&x=1 token=… count=3"),
        ("one\nrtsp://u:p@h/x\nmail me@home", "one\nrtsp://h/x\nmail me@home"),
        ("no address: nothing changes = 1", "no address: nothing changes = 1"),
    ],
)
def test_only_secrets_of_a_text_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "name", ["/films/a?b#c.mp4", "C:\\films\\me@home.mp4", "camera:@device_pnp_1", "demo:3", "a b.mp4"]
)
def test_names_of_other_sources_are_shown_as_they_are(name: str) -> None:
    assert str(SourceName(name)) == name


@pytest.mark.slow
def test_long_texts_are_masked_quickly() -> None:
    for text in (
        "a" * 200_000,
        "a:" * 100_000,
        ",a:" * 60_000,
        "http://" * 30_000,
        "@" * 200_000,
        "x://a" * 40_000 + "@",
    ):
        redact(text), safe_name(text)
