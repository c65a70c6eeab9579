"""The `bytespike` command: one word for each thing an operator or developer does.

Each command imports what it needs when it runs, so that `bytespike admin` in a shell loop does not
pay for the web framework of the simulator.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from bytespike_cli.admin.options import add_admin_options
from bytespike_cli.seed.options import add_seed_options

__all__ = ["main"]

_EPILOG = """environment:
  BYTESPIKE_HOME          folder of the local stack (default .bytespike)
  BYTESPIKE_EDGE_PORT     port of `up` (default 8080)
  BYTESPIKE_CATALOGUE     catalogue file (default deploy/catalogue/default.toml)
  BYTESPIKE_POSTGRES_URL, BYTESPIKE_REDIS_URL, BYTESPIKE_NATS_URL
                          servers to use instead of starting local ones
  BYTESPIKE_URL, BYTESPIKE_ADMIN_TOKEN
                          gateway that `admin` talks to (default: the one of `up`)
  ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or GOOGLE_API_KEY, DEEPSEEK_API_KEY,
  MOONSHOT_API_KEY, ZHIPU_API_KEY, MINIMAX_API_KEY, ARK_API_KEY
                          call these vendors and no others; without any key the simulator
                          answers for all
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when all went well, 1 when it did not; wrong usage exits with 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulator"]:  # has a parser and a --help of its own
        return _simulator(arguments[1:])
    args = _parser().parse_args(arguments)
    try:
        result: int = args.command(args)
    except KeyboardInterrupt:  # `up` handles the signal itself once it has something to stop
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bytespike",
        description="Run, manage and check a ByteSpike gateway.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the whole gateway here, with a demo key")
    up.set_defaults(command=_up)

    admin = commands.add_parser("admin", help="manage organisations, wallets and keys")
    add_admin_options(admin)
    admin.set_defaults(command=_admin)

    seed = commands.add_parser(
        "seed",
        help="fill a gateway with a month of demo traffic",
        description="Invents companies, people and keys, and a month of their requests and "
        "top-ups. The gateway that `admin` talks to is filled; a second run changes nothing.",
    )
    add_seed_options(seed)
    seed.set_defaults(command=_seed)

    check = commands.add_parser("check-config", help="say whether a catalogue is usable")
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="catalogue to check")
    check.set_defaults(command=_check_config)

    migrate = commands.add_parser("migrate", help="bring BYTESPIKE_POSTGRES_URL to this release")
    migrate.set_defaults(command=_migrate)

    commands.add_parser("simulator", help="run the scriptable vendor", add_help=False)
    return parser


def _up(args: argparse.Namespace) -> int:
    from bytespike_cli.check_config import default_catalogue  # noqa: PLC0415
    from bytespike_cli.up import up  # noqa: PLC0415

    return up(_home(), default_catalogue(os.environ), os.environ)


def _admin(args: argparse.Namespace) -> int:
    from bytespike_cli.admin.run import run_admin  # noqa: PLC0415

    return run_admin(args, _home(), os.environ)


def _seed(args: argparse.Namespace) -> int:
    from bytespike_cli.check_config import default_catalogue  # noqa: PLC0415
    from bytespike_cli.seed.command import run_seed  # noqa: PLC0415

    return run_seed(args, _home(), default_catalogue(os.environ), os.environ)


def _check_config(args: argparse.Namespace) -> int:
    from bytespike_cli.check_config import check_config, default_catalogue  # noqa: PLC0415

    return check_config(args.file or default_catalogue(os.environ), os.environ)


def _migrate(args: argparse.Namespace) -> int:
    from bytespike_cli.migrate import migrate_from_environment  # noqa: PLC0415

    return migrate_from_environment(os.environ)


def _simulator(arguments: Sequence[str]) -> int:
    from bytespike_cli.simulator import main as simulator  # noqa: PLC0415

    return simulator(arguments)


def _version() -> str:
    try:
        return metadata.version("bytespike")
    except metadata.PackageNotFoundError:
        return "unreleased (run from its sources)"


def _home() -> Path:
    return Path(os.environ.get("BYTESPIKE_HOME") or ".bytespike").absolute()


if __name__ == "__main__":
    sys.exit(main())
