"""Turns what was measured into a JSON and the tables of `benchmarks/README.md`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- written by the benchmark -->", "<!-- end -->"


@dataclass(frozen=True)
class Line:
    """One line of the table of targets.

    Attributes:
        what: The interaction.
        target: The target in words.
        measured: What was measured, in words.
        value: The number held against `limit`.
        limit: The number of the target.
        at_least: Whether the target is to reach the limit; otherwise it is not to exceed it.
    """

    what: str
    target: str
    measured: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the target is met, and by how much it is missed."""
        if self.value >= self.limit if self.at_least else self.value <= self.limit:
            return "met"
        off = self.limit / self.value if self.at_least else self.value / max(self.limit, 1e-9)
        return f"**missed** by {off - 1:.1%}" if self.limit else "**missed**"


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and spread (between the quartiles), in milliseconds."""
    ordered = sorted(1000 * each for each in seconds)
    low, middle, high = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else ordered * 3
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    numbers = {"median": middle, "p95": p95, "spread": high - low, "count": len(ordered)}
    return {name: round(number, 2) for name, number in numbers.items()}


def paired(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of how many times slower one is than the other, from measurements made in turn."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def write(results: dict[str, Any], lines: Sequence[Line]) -> None:
    """Writes `results.json`, and the tables between the marks in `README.md`."""
    results["targets"] = [asdict(line) | {"verdict": line.verdict} for line in lines]
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    readme = HERE / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    text = "\n\n".join(
        [
            f"Measured on {results['machine']}; load average at the end {results['load']:.1f}.",
            targets_table(lines),
            *models_tables(results["models"]),
        ]
    )
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def targets_table(lines: Iterable[Line]) -> str:
    """The lines as a markdown table."""
    return _table(
        ("interaction", "target", "measured", ""),
        ((line.what, line.target, line.measured, line.verdict) for line in lines),
    )


def models_tables(models: dict[str, Any]) -> list[str]:
    """For each model the time of every interaction and floor."""
    names = list(models)
    kinds = list(models[names[0]]["times"])
    rows = []
    for kind in kinds:
        cells = [models[name]["times"][kind] for name in names]
        rows.append((kind, *(f"{c['median']:.1f} / {c['p95']:.1f} ± {c['spread']:.1f}" for c in cells)))
    rows += [
        (kind, *(str(models[name]["counts"][kind]) for name in names)) for kind in models[names[0]]["counts"]
    ]
    title = "Milliseconds: median / 95th percentile ± distance between the quartiles."
    return [title, _table(("", *names), rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))
