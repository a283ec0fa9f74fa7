"""The measurements as JSON and as the tables of `benchmarks/README.md`."""

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
        what: The interaction, in words.
        target: The target in words.
        measured: What was measured, in words.
        value: The number that is compared with `limit`.
        limit: The number of the target.
        at_least: True if `limit` is a lower bound of `value`, else it is an upper one.
    """

    what: str
    target: str
    measured: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`met`, or by how much the target is missed."""
        if self.value >= self.limit if self.at_least else self.value <= self.limit:
            return "met"
        off = self.limit / self.value if self.at_least else self.value / max(self.limit, 1e-9)
        return f"**missed** by {off - 1:.1%}" if self.limit else "**missed**"


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and spread (between the quartiles) in milliseconds, and the count."""
    ordered = sorted(1000 * each for each in seconds)
    low, middle, high = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else ordered * 3
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    numbers = {"median": middle, "p95": p95, "spread": high - low, "count": len(ordered)}
    return {name: round(number, 2) for name, number in numbers.items()}


def paired(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median of the ratios `slow / fast` of measurements made in turn."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def write(results: dict[str, Any], lines: Sequence[Line]) -> None:
    """Write `results.json`, and the tables between the marks in `README.md`."""
    results["targets"] = [asdict(line) | {"verdict": line.verdict} for line in lines]
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    readme = HERE / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n\n{tables(results, lines)}\n\n{END}{after}", encoding="utf-8")


def tables(results: dict[str, Any], lines: Sequence[Line]) -> str:
    """Return all measurements as markdown."""
    machine = f"Measured on {results['machine']}, Chromium {results['browser']['chromium']}"
    load = f"load average {results['load']:.1f} before; {results['seconds']} seconds."
    return "\n\n".join(
        [
            f"{machine}; {load}",
            "## Targets",
            _table(
                ("interaction", "target", "measured", ""),
                ((line.what, line.target, line.measured, line.verdict) for line in lines),
            ),
            "## Inside the kernel",
            "Milliseconds: median / 95th percentile ± distance between the quartiles.",
            _times(results["models"]),
            "Messages and kilobytes to the browser:",
            _traffic(results["models"]),
            "## In the browser",
            "Milliseconds from the key press to the painted picture, and what one press costs:",
            _browser(results["browser"]["contenders"]),
        ]
    )


def _times(models: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    for kind in _kinds(models):
        cells = _cells(models, kind)
        rows.append((kind, *(f"{c['median']:.1f} / {c['p95']:.1f} ± {c['spread']:.1f}" for c in cells)))
    rows += [
        (kind, *(f"{model['counts'][kind]:,}" for model in models.values()))
        for kind in next(iter(models.values()))["counts"]
    ]
    for kind in ("peak", "steady"):
        numbers = (f"{model['memory'][kind] / 1e6:,.0f}" for model in models.values())
        rows.append((f"{kind} memory of the process so far, MB", *numbers))
    return _table(("", *models), rows)


def _traffic(models: dict[str, Any]) -> str:
    kinds = [kind for kind in _kinds(models) if any(m["times"][kind]["messages"] for m in models.values())]
    rows = [
        (kind, *(f"{c['messages']:.0f}; {c['bytes'] / 1000:.0f} kB" for c in _cells(models, kind)))
        for kind in kinds
    ]
    return _table(("", *models), rows)


def _cells(models: dict[str, Any], kind: str) -> list[dict[str, float]]:
    return [model["times"][kind] for model in models.values()]


def _kinds(models: dict[str, Any]) -> list[str]:
    return list(next(iter(models.values()))["times"])


def _browser(contenders: dict[str, dict[str, float]]) -> str:
    return _table(
        ("", "median / p95 ± spread", "blank frames", "messages", "kB"),
        (
            (
                name,
                f"{each['median']:.0f} / {each['p95']:.0f} ± {each['spread']:.0f}",
                f"{each['blank']:.0f} of {each['frames']:.0f}",
                f"{each['messages']:.0f}",
                f"{each['bytes'] / 1000:.0f}",
            )
            for name, each in contenders.items()
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))
