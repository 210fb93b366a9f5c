"""The command line: reads arguments, prints, exits; nothing else."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meshca import __version__, logs, settings
from meshca.errors import MeshCAError
from meshca.words.names import DEFAULT_NAMESPACE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `meshca` command; return its exit code: 0 fine, 1 failed, 2 misused."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except BrokenPipeError:  # `meshca plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MeshCAError, OSError, ValueError) as error:
        print(f"meshca: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meshca", description="Rotates the certificate authorities of an Istio mesh without a failed handshake."
    )
    parser.add_argument("--version", action="version", version=f"meshca {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator", description="Run the operator until SIGTERM.")
    settings.add_arguments(run)
    run.set_defaults(command=_run)
    plan = commands.add_parser(
        "plan",
        help="print what a MeshCA will do, and when",
        description="Print each coming step of a MeshCA with its date and what it writes. Runs the operator's own"
        " plan against an empty cluster that begins now, or against a real one as it is; touches nothing.",
    )
    plan.add_argument("-f", "--filename", required=True, help="the MeshCA as YAML; - for standard input")
    plan.add_argument("--horizon", default="10y", help="how far to look: 15y, 90d, 36h (default: %(default)s)")
    plan.add_argument("--from", dest="start", metavar="TIME", help="begin at this time (RFC 3339) instead of now")
    plan.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="look at this cluster: what is there already, what its istiods load, and what would hold a step",
    )
    plan.add_argument(
        "-n", "--namespace", default=DEFAULT_NAMESPACE, help="where the operator is, or will be (default: %(default)s)"
    )
    plan.set_defaults(command=_plan)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    # The operator's client and framework take half a second to import; `plan` and --help need neither.
    from meshca.process.operator import run  # noqa: PLC0415

    chosen = settings.Settings.of(arguments)
    logs.set_up(chosen.log_format, chosen.log_level)
    return asyncio.run(run(chosen))


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the forecast begins where its reader is


def _plan(arguments: argparse.Namespace) -> int:
    from meshca.commands.plan import forecast_lines, parse_horizon  # noqa: PLC0415

    horizon = parse_horizon(arguments.horizon)
    text = sys.stdin.read() if arguments.filename == "-" else Path(arguments.filename).read_text("utf-8")
    if arguments.kubeconfig:
        return _plan_there(text, horizon, arguments)
    start = datetime.fromisoformat(arguments.start) if arguments.start else _now()
    start = start.replace(tzinfo=start.tzinfo or UTC).astimezone(UTC).replace(microsecond=0)
    for line in forecast_lines(text, start, start + horizon):
        print(line)
    return 0


def _plan_there(text: str, horizon: timedelta, arguments: argparse.Namespace) -> int:
    from meshca.commands.live import live_lines  # noqa: PLC0415

    if arguments.start:
        raise ValueError("--from: a cluster is looked at as it is now; leave it out with --kubeconfig")
    for line in live_lines(text, horizon, arguments.namespace, arguments.kubeconfig):
        print(line)
    return 0
