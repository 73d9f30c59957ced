"""Serves the report of --run to a browser, and renews it as trials end.

It listens on this machine alone unless --host says otherwise, and serves nothing but the page.
Nothing is written into the run, which may be training. Ctrl-C ends it.
"""

import functools
import html
import http.server
import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.errors import TransferError

if TYPE_CHECKING:
    from transfer.run_directory import RunDirectory

_FRAME = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>transfer watch</title>
<style>
  html, body { margin: 0; height: 100%; font: 14px system-ui, sans-serif; color-scheme: light dark }
  body { display: flex; flex-direction: column }
  #state { padding: 4px 12px }
  iframe { flex: 1; border: 0 }
</style>
<div id="state" role="status"></div>
<iframe id="page" title="report" src="/report"></iframe>
<script>
  let shown = null
  async function look() {
    try {
      const now = await (await fetch("/state")).json()
      document.getElementById("state").textContent = now.said
      if (shown !== null && now.version !== shown)
        document.getElementById("page").contentWindow.location.reload()
      shown = now.version
    } catch {
      document.getElementById("state").textContent = "transfer watch has ended."
    }
    setTimeout(look, 2000)
  }
  look()
</script>
</html>
"""


class LiveReport:
    """The page of a run as of its last finished group, made anew when there is another.

    Example:
      >>> live = LiveReport(RunDirectory("runs/proxies"))  # doctest: +SKIP
      >>> live.renew()  # doctest: +SKIP
      True
    """

    def __init__(self, run: "RunDirectory"):
        self._run = run
        self._seen: object = None
        self.version = 0
        self.page = _message("No trial has ended yet.")
        self.trials = 0

    @property
    def said(self) -> str:
        """What the run is doing, in a sentence."""
        owner = self._run.writer
        doing = f"training ({owner})" if owner else "nobody trains it now"
        return f"{self._run}: {self.trials} trials, {doing}."

    def renew(self) -> bool:
        """Make the page anew if trials were added; returns whether they were."""
        file = self._run.path / "trials.parquet"
        try:
            seen = (file.stat().mtime, file.stat().length) if file.exists() else None
        except OSError:  # it is being replaced
            return False
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.trials = len(self._run.trials())
            self.page = self._made()
        except TransferError as error:  # too few trials for a verdict
            self.page = _message(str(error))
        self.version += 1
        return True

    def _made(self) -> str:
        from transfer.report import Report

        task, provenance = flags.recorded_origin(self._run)
        report = Report.of(self._run, task=task, provenance=provenance)
        configuration = (self._run.config() or {}).get("experiment", {})
        return report.page(configuration, str(self._run))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the frame, the page and its state; everything else is not there."""

    def __init__(self, live: LiveReport, *arguments: object):
        self._live = live
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a request by its path."""
        if self.path == "/":
            self._answer("text/html", _FRAME)
        elif self.path == "/report":
            self._answer("text/html", self._live.page)
        elif self.path == "/state":
            state = {"version": self._live.version, "said": self._live.said}
            self._answer("application/json", json.dumps(state))
        else:
            self.send_error(404)

    def _answer(self, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing: requests are no news."""


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    absl_flags.DEFINE_string(
        "host", "127.0.0.1", "the address to listen on; 0.0.0.0 is every one", flag_values=values
    )
    absl_flags.DEFINE_integer("port", 6007, "the port to listen on", flag_values=values)


def run(values: absl_flags.FlagValues) -> int:
    """Serve until interrupted."""
    platform.prepare()
    from transfer.cli.console import say

    directory = flags.run_directory(values)
    if not directory.path.exists():
        raise TransferError(f"There is no run directory {directory}; expected one to watch.")
    live = LiveReport(directory)
    with serving(live, str(values["host"].value), int(values["port"].value or 0)) as server:
        host, port = server.server_address[:2]
        say(f"Watching {directory} at http://{host!s}:{port}/ until Ctrl-C.")
        ended = threading.Event()
        try:
            while not ended.wait(2.0 if live.renew() else 1.0):
                pass
        except KeyboardInterrupt:
            say("No longer watching.")
        server.shutdown()
    return 0


def serving(live: LiveReport, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """Return a server that answers in threads of its own.

    Raises:
      TransferError: the port is taken, or the address is none of this machine's.
    """
    try:
        server = http.server.ThreadingHTTPServer((host, port), functools.partial(Handler, live))
    except (OSError, OverflowError) as error:
        raise TransferError(
            f"Nothing can be served at {host}:{port} ({error}); expected a free --port, and a "
            "--host of this machine."
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _message(text: str) -> str:
    said = html.escape(text)
    return f'<!doctype html><meta charset="utf-8"><title>transfer</title><p>{said}</p>'
