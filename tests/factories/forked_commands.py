"""Start many commands of the project from one process that has imported the project: each command is a fork."""

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# The modules that commands run stay out of the imports: runpy would warn that these are imported already.
SERVER = """
import atexit, gc, json, os, resource, runpy, signal, sys
from pathlib import Path
from omegaconf import OmegaConf
import bench.cli, bench.report, bench.run, bench.sweep
bench.cost.record_costs.LONG_MS = bench.cost.record_costs.HEAD_SECONDS = 0.0  # fewer calls are timed, as in all tests
sys.path.append(sys.argv[1])
from factories.charts import shared_charts
from factories.parsed_files import parsed_once
sys.path.pop()
files = parsed_once()
files.__enter__()
for file in (Path(sys.argv[1]).parent / "conf").rglob("*.yaml"):
    OmegaConf.load(file)  # here, so that all forks have it
bench.report.page_script.charts = shared_charts(Path(sys.argv[2]))
gc.freeze()  # the modules are no garbage, and a pass over their objects in a fork would copy their pages
for line in sys.stdin:
    module, folder, out, err, arguments, gib, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm(400)  # seconds; ends a command that hangs
        os.chdir(folder)
        for name, value in environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if gib:
            resource.setrlimit(resource.RLIMIT_DATA, (gib << 30, gib << 30))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the server's own commands arrive on stdin
        for path, stream in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), stream)
        sys.argv = [module, *arguments]
        status = 0
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code or 0
        if not isinstance(status, int):
            sys.exit(status)  # prints the text
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # clearing all modules would take two seconds
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def forked_commands(outputs: Path, shared: Path) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Yield a function like `factories.commands.bench` that saves the imports, most of the time of a short command.

    The function takes environment variables too, or None to remove one. They act on the command alone, but not on the
    imports.

    Args:
        outputs: folder for what the commands print.
        shared: folder of the test session, see `factories.charts`.
    """
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-W", "error:::bench", "-c", SERVER, tests, str(shared)]
    number = itertools.count()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def run(
            folder: Path, *arguments: str, module: str = "bench", gib: int = 0, **environment: str | None
        ) -> subprocess.CompletedProcess:
            out, err = (outputs / f"{next(number)}.txt" for _ in range(2))
            line = json.dumps([module, *map(str, (folder, out, err)), arguments, gib, environment])
            print(line, file=server.stdin, flush=True)
            status = int(server.stdout.readline())
            return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())

        yield run
