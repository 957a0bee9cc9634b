"""The option that lets a session file read what lies outside its folder, shared by the commands that take one."""

from typing import Annotated

import typer

TrustSession = Annotated[
    bool,
    typer.Option("--trust-session", help="Let the session file use files outside its folder, or a model of its own."),
]
