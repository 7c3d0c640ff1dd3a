"""Every speed figure, each beside its peer or limit, measured in this run: `make bench`.

Each benchmark is a process of its own, one after the other, so that none shares a heap, a warm cache or an event loop
with another. Ratios are what counts: the raw figures beside them say how fast this machine was today.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("codec", "modbus", "wire", "fleet", "store", "transmission", "gaps", "validation", "pages")


def main() -> int:
    """Run the named benchmarks, or all of them; the exit code says whether every one ran to its end."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in chosen:
        print(f"\n== {name} ==", flush=True)
        if subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
