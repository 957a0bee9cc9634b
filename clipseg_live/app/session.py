"""Construction of live sessions. OpenCV, PyAV and torch are only imported in the threads that use them."""

from fractions import Fraction
from typing import TYPE_CHECKING, cast

from clipseg_live.app.engine import make_engine, make_exact_engine
from clipseg_live.app.recording_tools import recording_tools
from clipseg_live.core.frame import Pixels
from clipseg_live.core.protocols import FrameSource, LiveSource, Matting, Renderer
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, SourceSpec
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.core.settings.source_schemes import SourceRequest, SourceScheme, find_scheme, open_by_scheme
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.runtime.inference.server import MakeEngine
from clipseg_live.runtime.pipeline import RenderTools
from clipseg_live.runtime.session import Session, SessionTools

if TYPE_CHECKING:
    from clipseg_live.media.virtual_camera import VirtualCamera

DEMO_SOURCE = "demo:"


def make_session(settings: LiveSettings, *, exact_model: bool = False) -> Session:
    """Build a session that is not started yet.

    Args:
        settings: Settings of the session.
        exact_model: Whether a missing default model is an error. Otherwise the small built-in model replaces it, which
            only a window may do.
    """
    return Session(settings, session_tools(make_exact_engine if exact_model else make_engine))


def session_tools(make_engine: MakeEngine) -> SessionTools:
    """Return the parts of a session that this application uses.

    Args:
        make_engine: Loads the engine in the worker process.
    """
    return SessionTools(
        open_source=open_session_source,
        frame_filter=frame_filter,
        rendering=RenderTools(make_matting, make_renderer),
        make_engine=make_engine,
        recording=recording_tools(),
        make_camera=make_camera,
        before_worker=_import_opencv,
    )


def _import_opencv() -> None:
    """Wait until OpenCV is imported, by any thread.

    OpenCV changes ``sys.path`` during its import. A process that is started at that time would inherit the path, and
    take OpenCV's modules for those of the standard library.
    """
    import clipseg_live.imaging.resize  # noqa: F401


def open_session_source(spec: SourceSpec) -> LiveSource:
    """Return the source of this name, not opened yet.

    Raises:
        UsageError: The name is unknown.
    """
    scheme = find_scheme(spec.name.reveal())
    if scheme is not None:
        return _open_scheme(scheme, spec)
    from clipseg_live.media.sources.live_sources import open_live as open_other

    return open_other(spec)


def _open_scheme(scheme: SourceScheme, spec: SourceSpec) -> LiveSource:
    from clipseg_live.media.sources.seekable import PlaybackSource

    rate = None if spec.rate is None else Fraction(spec.rate).limit_denominator(1001)

    def make(start: Fraction | None) -> FrameSource:
        return open_by_scheme(
            scheme,
            SourceRequest(
                name=spec.name.reveal(), start=start, endless=True, width=spec.width, height=spec.height, rate=rate
            ),
        )

    first = make(None)  # reject an unknown name at once
    return cast(LiveSource, first) if getattr(first, "live", False) else PlaybackSource(make)


def frame_filter(pixels: Pixels, framing: FrameTransform) -> Pixels:
    """Return the pixels cropped, rotated and mirrored."""
    from clipseg_live.media.sources.framing import apply_framing

    return apply_framing(pixels, framing)


def make_matting() -> Matting:
    """Return new matting for live frames."""
    from clipseg_live.matting.causal import CausalMattes

    return CausalMattes()


def make_renderer(look: RenderSettings) -> Renderer:
    """Return a renderer, and limit OpenCV to one thread.

    For single frames, the helper threads of OpenCV mostly wait, and use the CPU while they do.
    """
    from clipseg_live.rendering.renderer import EffectRenderer, use_one_thread

    use_one_thread()
    return EffectRenderer(look)


def make_camera(settings: VirtualCameraSettings) -> "VirtualCamera":
    """Return a virtual camera that is not open yet."""
    from clipseg_live.media.virtual_camera import VirtualCamera

    return VirtualCamera(settings)
