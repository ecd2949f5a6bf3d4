"""Plots for the docs: SVG files that are the same whenever they are made from the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

__all__ = ["Line", "Panel", "save"]

_STYLE: Final = {
    "svg.hashsalt": "aegis",  # ids of elements are made from it; by default from a random number
    "svg.fonttype": "none",  # text stays text: small, and searchable
    "path.simplify_threshold": 0.5,
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name in the legend, and its points."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram of a figure; all of a figure share the horizontal axis.

    Attributes:
        label: What the vertical axis shows.
        lines: The lines; lines of the same name have the same colour in all panels.
        log: Whether the vertical axis is logarithmic.
        marks: Places on the vertical axis to mark by a line.
    """

    label: str
    lines: Sequence[Line]
    log: bool = False
    marks: Sequence[float] = ()


def save(path: Path, panels: Sequence[Panel], *, title: str, horizontal: str = "seconds") -> None:
    """Draw the panels above each other, and write them to ``path``, whose folder is made."""
    names = dict.fromkeys(line.label for panel in panels for line in panel.lines)
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    # Not imported above: it takes a second, is not needed for tables, and is typed in part only.
    matplotlib: Any = import_module("matplotlib")
    figures: Any = import_module("matplotlib.figure")
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(8, 0.6 + 2.1 * len(panels)), layout="constrained")
        every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        axes = [row[0] for row in every]
        for axis, panel in zip(axes, panels, strict=True):
            for line in panel.lines:
                x, y = zip(*line.points, strict=True) if line.points else ((), ())
                axis.plot(x, y, label=line.label, color=colours[line.label], linewidth=1.1)
            for mark in panel.marks:
                axis.axhline(mark, color="0.5", linewidth=0.8, linestyle=":")
            axis.set_ylabel(panel.label)
            if panel.log:
                axis.set_yscale("log")
        axes[0].set_title(title)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        axes[-1].set_xlabel(horizontal)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
