"""Runs a stage's `main` from the command line: its arguments, --help, errors a person can read."""

import argparse
import errno
import inspect
import sys
from collections.abc import Callable

from tessera.disk import FULL
from tessera.errors import InputError
from tessera.machine import VARIABLES
from tessera.params.load import load_params

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def command(main: Callable[..., None]) -> None:
    """Calls `main` with the arguments that its signature names, keyword-only ones as options (`--name`); an InputError ends
    with exit code 1."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {sys.modules['__main__'].__spec__.name}",
        description=sys.modules[main.__module__].__doc__,
        epilog="environment:\n" + "\n".join(f"  {name:<22}{meaning}" for name, meaning in VARIABLES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for argument in inspect.signature(main).parameters.values():
        if argument.kind is argument.KEYWORD_ONLY:
            needed = argument.default is argument.empty
            parser.add_argument(
                f"--{argument.name}", type=argument.annotation, required=needed, default=argument.default
            )
        else:
            parser.add_argument(argument.name, type=argument.annotation)
    arguments = vars(parser.parse_args())
    try:
        _check(arguments)
        main(**arguments)
    except InputError as error:
        sys.exit(f"\nerror: {error}")
    except FileNotFoundError as error:
        sys.exit(
            f"\nerror: {error.filename or error}: no such file; `dvc repro` makes what a stage needs before it runs the stage"
        )
    except OSError as error:
        if error.errno in REFUSED:
            sys.exit(
                f"\nerror: {error.filename or error}: {error.strerror}; a stage reads data/ and writes into its folders and scratch/"
            )
        if error.errno not in FULL:
            raise
        sys.exit(
            f"\nerror: the disk is full, or what you may use of it ({str(error).splitlines()[0]}): make room and run the same "
            "command again; it goes on from what it has saved"
        )
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")


def _check(arguments: dict) -> None:
    """Raises InputError for a model or fold that params.yaml does not declare."""
    params = load_params()
    for name, declared in (("model", params.train.models), ("fold", params.fold.run)):
        if name in arguments and arguments[name] not in declared:
            raise InputError(
                f"{name} {arguments[name]!r} is not declared in params.yaml; there are {', '.join(map(str, declared))}"
            )
