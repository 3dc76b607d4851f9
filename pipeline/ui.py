"""Show the searches of a store in a browser, on this machine only: `python -m pipeline.ui store=mlruns port=5000`."""

import sys
from collections.abc import Sequence

from pipeline.runtime.arguments import read_options, run_command
from pipeline.tracking import server

HELP = """\
Shows the searches of a store in a browser: MLflow's pages, on this machine.

  python -m pipeline.ui [store=<folder>] [port=<number>] [host=<address>]
                        [open=true]

store=mlruns     the folder that the searches wrote to
port=5000        a free port, 1024 to 65535
host=127.0.0.1   the IPv4 address to serve on; another one of this machine,
                 such as host=192.168.1.5, gives access to other machines,
                 without a password
open=false       true: opens the browser at the task that was searched last

It prints the addresses when the server is up, after about ten seconds.
Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(argv, HELP, _run, "Stopped.")


def _run(argv: Sequence[str]) -> int:
    options = read_options(server.ServerOptions, argv)
    server.check_can_serve(options)
    return server.serve(options)


if __name__ == "__main__":
    sys.exit(main())
