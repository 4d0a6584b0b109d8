"""The examples of a page of docs/: each box of `sh`, what the page shows below it, and both tried."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.postgres.programs import choose

DOCS = Path(__file__).parents[2] / "docs"
_BOX = re.compile(r"^```sh\n(?P<script>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_VARYING = re.compile(r"\d[\d,.]* (?:B|kB|MB|GB)\b|\d+(?:[.,]\d+)*|\s+|…")
# A jq for machines without one: it knows what the pages ask of it, and nothing else.
_JQ = r"""
import json, re, sys
flags, program, *files = [a for a in sys.argv[1:] if a[0] == "-"], *[a for a in sys.argv[1:] if a[0] != "-"]
text = open(files[0]).read() if files else sys.stdin.read()
documents = []
while text.strip():
    document, end = json.JSONDecoder().raw_decode(text.lstrip())
    documents, text = [*documents, document], text.lstrip()[end:]
for step in program.split(" | "):
    if step.startswith("{"):
        names = re.findall(r"\w+", step)
        documents = [{name: each.get(name) for name in names} for each in documents]
        continue
    for name in re.findall(r"\w+", step):
        documents = [each.get(name) for each in documents]
    if step.endswith("[]"):
        documents = [inner for each in documents for inner in each]
for each in documents:
    raw = isinstance(each, str) and "-r" in flags
    print(each if raw else json.dumps(each, separators=(",", ":") if "-c" in flags else None))
"""


@dataclass(frozen=True)
class Example:
    """A box; `shown` are the lines that the page says are printed, in this order, others between them."""

    where: str
    script: str
    shown: list[str]

    def fails(self, environment: Mapping[str, str], folder: Path) -> str | None:
        """Run it; what is otherwise than the page says, or None."""
        done = subprocess.run(
            ["bash", "-euc", self.script], env=environment, cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            return f"{self.where}: exit status {done.returncode}\n{self.script}\n{done.stdout}\n{done.stderr}"
        lines = iter(done.stdout.splitlines())
        for shown in self.shown:
            if not any(re.fullmatch(_shape(shown), line.strip()) for line in lines):
                return f"{self.where}: no line is like\n{shown}\nin\n{done.stdout}\n{done.stderr}"
        return None


def examples(page: str, replaced: Mapping[str, str]) -> Iterator[Example]:
    """All boxes of `page`, with what stands for something in it `replaced`."""
    text = (DOCS / page).read_text()
    assert text.count("```sh\n") == len(_BOX.findall(text)) > 0
    for found in _BOX.finditer(text):
        where = f"docs/{page}:{text[: found.start()].count(chr(10)) + 1}"
        script, shown = found["script"], found["shown"] or ""
        for old, new in replaced.items():
            script, shown = script.replace(old, new), shown.replace(old, new)
        yield Example(where, script, [line for line in shown.splitlines() if line.strip("… ")])


def path_with_programs(folder: Path) -> str:
    """A PATH on which are `desbuquei`, PostgreSQL's client programs and jq."""
    folder.mkdir()
    _program(folder / "desbuquei", "import sys; from desbuquei_backups.cli.main import main; sys.exit(main())")
    if shutil.which("jq") is None:
        jq(folder / "jq")
    return os.pathsep.join([str(folder), str(choose(17).folder), os.environ["PATH"]])


def jq(path: Path) -> None:
    """Write the stand-in for jq."""
    _program(path, _JQ)


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)


def _shape(shown: str) -> str:
    """A pattern of what is printed: figures, sizes and gaps may be others, `…` may be anything."""

    def pattern(found: re.Match[str]) -> str:
        text = found[0]
        if text == "…":
            return ".*"
        if text.isspace():
            return r"\s+"
        return r"\d[\d,.]* (?:B|kB|MB|GB)" if text[-1] == "B" else r"\d+(?:[.,]\d+)*"

    at, parts = 0, []
    for found in _VARYING.finditer(text := shown.strip()):
        parts += [re.escape(text[at : found.start()]), pattern(found)]
        at = found.end()
    return "".join([*parts, re.escape(text[at:])])
