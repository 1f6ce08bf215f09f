"""`varfx --install-completion`."""

from __future__ import annotations

from cyclopts.completion.install import create_install_completion_command

from varfx.cli.tree import build_app

install_completion = create_install_completion_command(build_app().install_completion, add_to_startup=True)
