"""Runs a stage's `main` from the command line: its arguments, --help, errors a person can read."""

import argparse
import inspect
import sys
from collections.abc import Callable

from tessera.errors import InputError
from tessera.machine import VARIABLES


def command(main: Callable[..., None]) -> None:
    """Calls `main` with the positional arguments that its signature names; an InputError ends with exit code 1."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {sys.modules['__main__'].__spec__.name}",
        description=sys.modules[main.__module__].__doc__,
        epilog="environment:\n" + "\n".join(f"  {name:<18}{meaning}" for name, meaning in VARIABLES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for argument in inspect.signature(main).parameters.values():
        parser.add_argument(argument.name, type=argument.annotation)
    try:
        main(**vars(parser.parse_args()))
    except InputError as error:
        sys.exit(f"\nerror: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
