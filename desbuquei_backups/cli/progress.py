"""Progress bars with rate and time left; on anything but a terminal, one line a stage."""

from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from desbuquei_backups.cli.output import messages


class _Done(DownloadColumn):
    """`1.2/3.4 GB`, or `12/400 links`."""

    def render(self, task: Task) -> Text:
        if (unit := task.fields["unit"]) == "bytes":
            return super().render(task)
        of = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{of} {unit}", style="progress.download")


class _Rate(TransferSpeedColumn):
    """Of bytes alone."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["unit"] == "bytes" else Text()


class Bars:
    """Draws an operation's stages on stderr; see operations.progress.Progress."""

    def __init__(self) -> None:
        console = messages()
        self._live = console.is_terminal
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Done(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        if not self._live:
            self._console.print(name, style="dim")
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total, unit=unit)

    def advance(self, amount: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, amount)
