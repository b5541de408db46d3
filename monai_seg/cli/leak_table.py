"""The findings of an audit as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from monai_seg.data.duplicates.leaks import LeakReport
    from monai_seg.review.without_copies import Figure, MetricChange


def show(report: LeakReport, changes: Sequence[MetricChange], rows: int, console: Console) -> None:
    """Print what was found, the first pairs, and the metrics without copies."""
    if report.copies and rows:
        console.print(_pairs(report, rows))
    if report.findings:
        console.print(_findings(report))
    if changes:
        console.print(_metrics(changes))
    for fault in report.unreadable:
        console.print(f"not compared: {escape(str(fault))}", soft_wrap=True)
    console.print(_result(report))


def plain(changes: Sequence[MetricChange]) -> list[dict[str, Any]]:
    """The metrics for JSON, which has no NaN."""
    return [_without_nan(asdict(change)) for change in changes]


def _pairs(report: LeakReport, rows: int) -> Table:
    table = Table("image", "copy", "what", title_justify="left", show_lines=True)
    total = len(report.copies)
    table.title = f"{total:,} pairs" if total <= rows else f"the first {rows} of {total:,} pairs (-o OUT writes all)"
    for copy in report.copies[:rows]:
        row = report.row(copy)
        told = f"{copy.kind} {copy.agreement:.2f}" if copy.kind == "near copy" else copy.kind
        style = "red" if report.is_across(copy) else ""
        pair = (f"{row[f'{which}_place']}\n{row[f'{which}_image']}" for which in ("first", "second"))
        cells = (*pair, ", ".join(filter(None, (told, copy.how))))
        table.add_row(*(Text(cell, overflow="fold") for cell in cells), style=style)
    return table


def _findings(report: LeakReport) -> Table:
    table = Table("", "what, where, and how to mend it", show_lines=True)
    for finding in report.findings:
        style = "red" if finding.is_leak else "yellow"
        problem, _, details = str(finding.fault).partition("\n")
        text = Text.assemble((problem, f"bold {style}"), f"\n{details}" if details else "", overflow="fold")
        table.add_row(Text("leak" if finding.is_leak else "look", style=style), text)
    return table


def _metrics(changes: Sequence[MetricChange]) -> Table:
    table = Table(
        "cases", "metric", "class", "all, with 95% interval", "without copies", "change", title_justify="left"
    )
    table.title = "without the test cases that have a copy in training"
    for each in changes:
        change = each.unseen.mean - each.every.mean
        table.add_row(each.table, each.metric, each.class_name, _figure(each.every), _figure(each.unseen),
                      "undefined" if math.isnan(change) else f"{change:+.4f}")  # fmt: skip
    return table


def _figure(figure: Figure) -> str:
    mean, low, high = ("undefined" if math.isnan(value) else f"{value:.4f}" for value in
                       (figure.mean, figure.ci_low, figure.ci_high))  # fmt: skip
    return f"{mean} ({low} to {high}), n={figure.n:,}"


def _result(report: LeakReport) -> Text:
    places = ", ".join(f"{sum(image.place == place for image in report.images):,} {place}" for place in report.places)
    leaks = sum(finding.is_leak for finding in report.findings)
    looks = len(report.findings) - leaks
    told = [_plural(leaks, "leak")] if leaks else []
    told += [f"{_plural(looks, 'thing')} to look at"] if looks else []
    style = "red" if leaks else "yellow" if looks else "green"
    return Text.assemble(f"{len(report.images):,} images ({places}): ", (", ".join(told) or "clean", f"bold {style}"))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
