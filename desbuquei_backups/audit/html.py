"""The report as one HTML file that asks nobody for anything: style and plots are in it, and every value is escaped."""

from datetime import datetime
from importlib import resources

from desbuquei_backups.audit.model import Report, Table, Verdict
from desbuquei_backups.audit.plots import Calendar, Plot, counted
from desbuquei_backups.audit.words import WORDS

_MOST_EXCEPTIONS = 40
_MOST_ROWS = 100


def as_html(report: Report) -> str:
    """The whole page. What is very long is cut, and says so: the JSON has all of it."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from desbuquei_backups.audit.svg import COLOURS, drawn

    folder = resources.files(__package__) / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    templates = {
        name: environment.from_string((folder / f"{name}.html.j2").read_text("utf-8")) for name in ("report", "table")
    }

    legend = Markup('<svg viewBox="0 0 10 10"><path fill="{}" d="M0 0h10v10h-10z"/></svg>{} {}')

    def table(shown: Table, *, titled: bool = True) -> Markup:
        return Markup(templates["table"].render(shown=shown, titled=titled, most=_MOST_ROWS))  # noqa: S704 - escaped by the template

    def figure(plot: Plot) -> Markup:
        parts = [Markup("<figure><figcaption>{}</figcaption>").format(plot.title)]
        parts.append(Markup(drawn(plot)))  # noqa: S704 - svg escapes its texts
        if isinstance(plot, Calendar):
            parts.append(Markup('<p class="legend">'))
            for outcome, count in counted(plot.cells).items():
                parts.append(legend.format(COLOURS[outcome], f"{count:,}", outcome))
            parts.append(Markup("</p>"))
        return Markup("").join([*parts, Markup("</figure>")])

    return templates[
        "report"
    ].render(
        report=report,
        style=Markup((folder / "report.css").read_text("utf-8")),  # noqa: S704 - our own
        tally=[(each.value, count) for each in Verdict if (count := report.counted(each))],
        clauses=list(dict.fromkeys(clause for each in report.controls for clause in each.clauses)),
        words=WORDS,
        table=table,
        figure=figure,
        css=lambda verdict: verdict.replace(" ", "-"),
        sentence=lambda text: text[:1].upper() + text[1:],
        instant=_instant,
        day=lambda at: f"{at:%Y-%m-%d}",
        most=_MOST_EXCEPTIONS,
    )


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
