"""``python -m parity_tests COMMAND``: what the suite does for models and implementations that are not its own."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

# A command is a module with SUMMARY, add_arguments(parser) and run(arguments) -> exit code, imported when it is called.
COMMANDS = {"twin": "parity_tests.twin_command", "cases": "parity_tests.cases_command"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 for equal, 1 for different, 2 for a call that cannot be understood."""
    parser = argparse.ArgumentParser(prog="python -m parity_tests", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rooms = {name: importlib.import_module(module) for name, module in COMMANDS.items()}
    for name, room in rooms.items():
        room.add_arguments(commands.add_parser(name, help=room.SUMMARY, description=room.__doc__))
    parsed = parser.parse_args(arguments)
    return rooms[parsed.command].run(parsed)


if __name__ == "__main__":
    sys.exit(main())
