"""Check which addresses of streams can be opened."""

from clipseg_live.core.addresses import SCHEMES, address_problem, safe_name
from clipseg_live.core.errors import UsageError

__all__ = ["SCHEMES", "check_address", "safe_name"]


def check_address(address: str) -> str:
    """Return the address without blanks around it. Raises UsageError for one that cannot be a stream's."""
    if problem := address_problem(address):
        raise UsageError(problem)
    return address.strip()
