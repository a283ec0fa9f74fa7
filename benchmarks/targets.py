"""The targets, each compared with what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from . import kernel
from .report import Line

RECORDING_MS = {"tutorial's CNN": 1, "ResNet50": 5}
LOOP = "≥ 20× faster than the loop"
Results = dict[str, Any]


def targets(results: Results) -> list[Line]:
    """Return a line for each target."""
    lines = [*_interactions(results["models"]), *_recording(results["models"]), *_extent(results)]
    if "browser" in results:
        lines += _browser(results["browser"])
    return lines


def _interactions(models: Results) -> Iterator[Line]:
    def found(kind: str, *, faster: bool = False) -> tuple[float, str]:
        ratios = [model["ratios"][kind] for model in models.values()]
        mean, worst = statistics.geometric_mean(ratios), min(ratios) if faster else max(ratios)
        return mean, f"{mean:.2f}{'× faster' if faster else '×'} (worst model {worst:.2f})"

    def ratio(
        kind: str, what: str, target: str, limit: float, *, faster: bool = False, floor: str = ""
    ) -> Line:
        mean, measured = found(kind, faster=faster)
        measured += f"; {floor}: {found(floor)[1]}" if floor else ""
        return Line(what, target, measured, mean, limit, at_least=faster)

    def counted(kind: str, target: str, limit: int) -> Line:
        counts = [model["counts"][kind] for model in models.values()]
        return Line(kind, target, ", ".join(map(str, counts)), max(counts), limit)

    yield ratio(kernel.LAYER, "layer change, picture seen", LOOP, 20, faster=True)
    yield ratio(kernel.CHANNEL, "channel change", LOOP, 20, faster=True)
    yield counted(kernel.GRIDS_ENCODED, "0: only its frame moves", 0)
    yield ratio(kernel.COLORMAP, "colormap change", LOOP, 20, faster=True)
    yield counted(kernel.NORMALISATIONS, "0: a new palette", 0)
    bare, eager = "≤ 1.3× a bare compiled forward", "≤ 1.2× one eager forward"
    yield ratio(kernel.NEW_IMAGE_MAPS, kernel.NEW_IMAGE_MAPS, bare, 1.3)
    drawn = "new picture, until all is drawn and sent"
    yield ratio(kernel.NEW_IMAGE, drawn, bare, 1.3, floor=kernel.NEW_IMAGE_FLOOR)
    yield counted(kernel.FORWARDS, "2", 2)
    yield counted("traces", "1 a model", 1)
    yield ratio(kernel.FIRST_IMAGE_MAPS, kernel.FIRST_IMAGE_MAPS, eager, 1.2)
    yield ratio(kernel.OTHER_WEIGHTS, kernel.OTHER_WEIGHTS, "≤ 1.03× the pass with the model's own", 1.03)
    yield ratio(kernel.NEW_STEP, kernel.NEW_STEP, "≤ 1.15× a new picture", 1.15)
    made = "first picture, until the widget is made, drawn and sent"
    yield ratio(kernel.FIRST_IMAGE, made, eager, 1.2, floor=kernel.FIRST_IMAGE_FLOOR)
    yield ratio(
        kernel.WHILE_COMPILING, kernel.WHILE_COMPILING, "≤ 2× the same later: two share the processor", 2
    )
    shares = [
        model["compiling"]["longest look meanwhile"] / model["compiling"]["milliseconds"]
        for model in models.values()
    ]
    took = "; ".join(
        "{longest look meanwhile} of {milliseconds} ms".format_map(m["compiling"]) for m in models.values()
    )
    yield Line(
        "the longest of these, as a share of the time compiling takes",
        "≤ ½: it is not waited for",
        took,
        max(shares),
        0.5,
    )


def _recording(models: Results) -> Iterator[Line]:
    for name, limit in RECORDING_MS.items():
        if name in models:
            ms = models[name]["times"][kernel.RECORDING]["median"]
            yield Line(f"{kernel.RECORDING}: {name}", f"≤ {limit} ms", f"{ms:.1f} ms", ms, limit)


def _extent(results: Results) -> Iterator[Line]:
    widths, memory = results["channels"], results["memory"]
    few, many, most = (f"{widths[name]['median']:.1f} ms" for name in ("c32", "c128", "c2048"))
    yield Line(
        "2,048 channels against 128, both a page of 128 tiles of one size",
        "≤ 1.5×",
        f"{widths['2048_to_128']:.2f}× ({most}; 128: {many}; 32: {few})",
        widths["2048_to_128"],
        1.5,
    )
    for ratio in (1, 2):
        size = max(size for name, size in results["bytes"].items() if name.endswith(f"ratio {ratio}"))
        what = f"bytes a redraw, 128 channels, default size, pixel ratio {ratio}"
        yield Line(what, "≤ 200 kB", f"{size / 1000:.0f} kB", size, 200_000)
    ms = results["import_ms"]
    yield Line("import of `fmwidget` beyond its dependencies", "≤ 100 ms", f"{ms:.0f} ms", ms, 100)
    most, budget = memory["cache_held_at_most"], memory["cache_budget"]
    held = f"{most:,} of {budget:,} bytes at most, {memory['evictions']} evictions"
    yield Line("cache budget", "held to the byte", held, most, budget)
    grown = f"{memory['growth']:+.1%} of {memory['rss_before'] / 1e6:.0f} MB"
    what = f"memory after {memory['interactions']:,} mixed interactions"
    yield Line(what, "within 2 %", grown, memory["growth"], 0.02)


def _browser(browser: Results) -> Iterator[Line]:
    from . import browser as labels  # needs the browser's driver, which `--no-browser` does without

    contenders, ratios = browser["contenders"], browser["ratios"]

    def took(kind: str) -> str:
        return f"{contenders[kind]['median']:.0f} ms"

    for kind in (labels.LAYER, labels.CHANNEL, labels.IMAGE, labels.KEYS, labels.HOVER):
        floors = (labels.FLOOR, *[labels.GRID_FLOOR] * (kind in (labels.LAYER, labels.IMAGE)))
        beside = "; ".join(f"{floor} {took(floor)}" for floor in floors)
        measured = f"{ratios[kind]:.2f}× ({took(kind)}; {beside})"
        yield Line(f"browser: {kind}", "≤ 1.5× the round trip", measured, ratios[kind], 1.5)
    for kind, loop in ((labels.LAYER, labels.LOOP), (labels.CHANNEL, labels.LOOP_CHANNEL)):
        value = ratios[loop]
        most = contenders[loop]["median"] / contenders[labels.FLOOR]["median"]
        ms = f"{took(loop)} against {took(kind)}; the round trip alone {most:.1f}×"
        what = f"browser: {kind} against `interact` and the loop"
        yield Line(what, "≥ 5× faster", f"{value:.1f}× faster ({ms})", value, 5, at_least=True)
    mark = contenders[labels.MARK]
    measured = f"{mark['late']} frames later at most, {took(labels.MARK)} until painted"
    yield Line(f"browser: {labels.MARK}", "in the next frame", measured, mark["late"], 0)
    blank = sum(contenders[kind]["blank"] for kind in labels.OURS)
    frames = sum(contenders[kind]["frames"] for kind in labels.OURS)
    yield Line("browser: blank frames", "none", f"{blank} of {frames}", blank, 0)
    burst = browser["bursts"][labels.CHANNEL]
    said = (
        f"{burst['pictures']} pictures, {burst['after']} of them after the last key, {burst['ms']:.0f} ms"
        f"{'' if burst['newest'] else ', not the newest'}"
    )
    what = f"browser: {burst['values']} keys as fast as they come"
    target = "the newest; no more than one after that under way"
    yield Line(what, target, said, burst["after"] if burst["newest"] else 99, 2)
