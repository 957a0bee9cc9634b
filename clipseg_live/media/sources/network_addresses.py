"""Validation of stream addresses."""

from clipseg_live.core.addresses import SCHEMES, address_problem, safe_name
from clipseg_live.core.errors import UsageError

__all__ = ["SCHEMES", "check_address", "safe_name"]


def check_address(address: str) -> str:
    """Return the address without surrounding whitespace.

    Raises:
        UsageError: If it is not the address of a stream.
    """
    if problem := address_problem(address):
        raise UsageError(problem)
    return address.strip()
