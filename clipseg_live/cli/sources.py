"""Sources of commands from their options."""

from typing import TYPE_CHECKING

from clipseg_live.cli.shared_options import InputOptions, NetworkOptions, given

if TYPE_CHECKING:
    from fractions import Fraction

    from clipseg_live.core.settings.live import SourceSpec


def sequence_rate(options: InputOptions) -> "Fraction | None":
    """Return the frame rate if images are a video, or None if they are separate photos.

    Raises:
        UsageError: The rate is invalid, or it is given without ``--sequence``.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import DEFAULT_SEQUENCE_RATE

    if not options.sequence:
        if options.rate is not None:
            raise UsageError("--rate is the frame rate of images as a video: give --sequence as well.")
        return None
    return DEFAULT_SEQUENCE_RATE if options.rate is None else parse_rate(options.rate)


def parse_rate(text: str) -> "Fraction":
    """Parse frames per second, such as "25", "12.5" or "30000/1001".

    Raises:
        UsageError: The text is not a rate.
    """
    from pydantic import TypeAdapter, ValidationError

    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import SequenceRate

    try:
        rate: Fraction = TypeAdapter(SequenceRate).validate_python(text)
    except (ValidationError, ZeroDivisionError) as error:
        raise UsageError(f"{text!r} is not a rate: give frames per second, such as 25 or 30000/1001.") from error
    return rate


def source_spec(name: str, options: InputOptions, network: NetworkOptions, *, film: bool = False) -> "SourceSpec":
    """Return the source of a live command.

    Args:
        name: Name of the source.
        options: Options of reading it.
        network: Options of reading an address.
        film: The command needs a video, not separate photos.

    Raises:
        UsageError: A value is invalid, or the source does not fit ``--sequence`` or ``film``.
    """
    from clipseg_live.core.addresses import SourceName
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.live import SourceSpec
    from clipseg_live.core.system.paths import is_folder_or_pattern

    sequence = sequence_rate(options)
    is_many = "://" not in name and is_folder_or_pattern(name)
    if sequence is not None and not is_many:
        raise UsageError(f"--sequence takes a folder or a pattern of images, which {SourceName(name)} is not.")
    if film and sequence is None and is_many:
        raise UsageError(f"{name} is a set of separate photos, not a video: add --sequence to read it as a video.")
    values = {**given(options), **given(network), "sequence": sequence}
    values.pop("rate", None)
    return validated(SourceSpec, name=SourceName(name), **values)
