"""A check's findings as a table for the terminal, and its facts in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from monai_seg.data.fault import Fault
    from monai_seg.data.integrity import Report

_EXAMPLES = 3  # cases shown of those that have the same fault; --json holds all of them
_CASE_WIDTH = 20
_MIN_PATH_WIDTH = 20


def show(report: Report, console: Console) -> None:
    """Print the table, where anything was found, and the summary."""
    if report.faults or report.warnings:
        console.print(_table(report, console.width))
    console.print(_summary(report))


def _table(report: Report, width: int) -> Table:
    table = Table("case", "what, where, and how to mend it", show_lines=True)
    table.columns[0].max_width = _CASE_WIDTH
    table.columns[0].overflow = "fold"
    for kind, style, findings in (("fault", "red", report.faults), ("warning", "yellow", report.warnings)):
        for alike in _alike(findings):
            table.add_row(_cases(alike, kind, style), _finding(alike, style, width - _CASE_WIDTH - 8))
    return table


def _alike(findings: Sequence[Fault]) -> list[list[Fault]]:
    """Findings with the same problem and remedy together: a thousand masks of the wrong polarity are one row."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for finding in findings:
        groups.setdefault((finding.problem, finding.mend), []).append(finding)
    return list(groups.values())


def _cases(alike: Sequence[Fault], kind: str, style: str) -> Text:
    names = [finding.case for finding in alike if finding.case]
    head = f"{kind} x {len(alike)}" if len(alike) > 1 else kind
    more = [f"and {len(names) - _EXAMPLES} more"] if len(names) > _EXAMPLES else []
    return Text.assemble((head, style), *(f"\n{name}" for name in [*names[:_EXAMPLES], *more]))


def _finding(alike: Sequence[Fault], style: str, width: int) -> Group:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    facts = dict.fromkeys(line for finding in alike[:_EXAMPLES] for line in finding.facts)
    for kind, _, text in (line.partition("  ") for line in facts):
        path, _, value = text.partition("  ")
        # A value that is cut at the line's end is hard to compare with the one below: it moves down as a whole.
        fits = len(kind) + 2 + len(text) <= max(width, _MIN_PATH_WIDTH)
        lines.add_row(kind, f"{path}  {value}" if fits or not value else f"{path}\n  {value}")
    if alike[0].mend:
        lines.add_row("mend", alike[0].mend)
    return Group(Text(alike[0].problem, style=f"bold {style}"), lines)


def _summary(report: Report) -> Table:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column()
    for name, text in (
        ("data", _cases_told(report)),
        ("images", _images_told(report)),
        ("labels", _labels_told(report)),
        ("objects", _objects_told(report)),
    ):
        if text:
            lines.add_row(name, text)
    lines.add_row("result", _result(report))
    return lines


def _cases_told(report: Report) -> str:
    if not report.counts:
        return ""
    parts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if name != "cases" and count)
    return f"{_plural(report.counts['cases'], 'case')}, layout {report.facts['layout']} ({parts})"


def _images_told(report: Report) -> str:
    facts = report.facts
    texts = []
    if "shape_min" in facts:
        is_picture = "spacing_mm_min" not in facts and len(facts["shape_min"]) == 2
        # Users know the size of a picture as columns x rows.
        low, high = ([*reversed(x)] if is_picture else x for x in (facts["shape_min"], facts["shape_max"]))
        texts.append(_range(low, high, "{}") + (" px" if is_picture else ""))
    if "spacing_mm_min" in facts:
        texts.append(_range(facts["spacing_mm_min"], facts["spacing_mm_max"], "{:.2f}") + " mm")
    if "channels" in facts:
        texts.append(
            " or ".join(map(str, facts["channels"])) + (" channel" if facts["channels"] == [1] else " channels")
        )
    return ", ".join(texts)


def _labels_told(report: Report) -> str:
    names, values = report.facts.get("labels", {}), report.facts.get("label_values", [])
    shown = [f"{value} {names[value]}" if value in names else str(value) for value in values[:12]]
    return ", ".join(shown) + (f" and {len(values) - 12} more" if len(values) > 12 else "")


def _objects_told(report: Report) -> str:
    if "objects" not in report.facts:
        return ""
    counts = ", ".join(f"{count} {name}" for name, count in report.facts["objects"].items()) or "none"
    return f"{counts}; {_plural(report.facts['images_without_objects'], 'image')} without any"


def _result(report: Report) -> Text:
    if report.faults:
        found = _plural(len(report.faults), "fault"), _plural(len(report.warnings), "warning")
        return Text(", ".join(found) if report.warnings else found[0], style="bold red")
    if report.warnings:
        return Text(f"sound, {_plural(len(report.warnings), 'warning')}", style="bold yellow")
    return Text("sound", style="bold green")


def _range(low: Sequence[float], high: Sequence[float], form: str) -> str:
    texts = [" x ".join(form.format(value) for value in axes) for axes in (low, high)]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
