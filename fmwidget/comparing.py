"""Comparisons in numbers and as matplotlib figures, from a script or a notebook, without the widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmwidget.activations.model import ActivationModel, activation_model
from fmwidget.analysis.cka import CKA, MAX_BYTES, cka_of
from fmwidget.analysis.comparison import TOLERANCE, Comparison, compare_activations
from fmwidget.images.loading import MANY_IMAGES, single_image, usable_images
from fmwidget.rendering.charts.cka import draw_cka
from fmwidget.rendering.charts.comparison import draw_comparison
from fmwidget.rendering.figure import FeatureFigure, feature_figure
from fmwidget.rendering.grid_layout import PAGE_WIDTH

from .pipeline.evaluation import Evaluation
from .pipeline.frame import ViewState, weights_in_words
from .references import LIVE, LIVE_NAME, Reference, find_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import keras

    from fmwidget.images.source import NamedImage
    from fmwidget.models.batch import ExtraInputs, Preprocess
    from fmwidget.models.inputs import Batch


def compare(
    model: keras.Model | ActivationModel,
    image: Any,
    against: Any,
    *,
    tolerance: float = TOLERANCE,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
) -> Comparison:
    """Compare what every layer computes with what it computes for another image, weights or model.

    Args:
        model: A Keras model, or an `ActivationModel`, such as `ActivationModel(model).at(snapshot)`.
        image: The image, as in `plot_feature_maps`.
        against: Another image; a `Snapshot`; the path of a `.weights.h5` file of the same architecture, or of
            a `.keras` file; or another model.
        tolerance: Relative L2 distance of a layer's maps above which it is `Comparison.first_over`.
        preprocess: The scaling of the images, as in `plot_feature_maps`.
        fit: How images of other proportions fill the model's input.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display, as for `FeatureMapWidget`.

    Returns:
        The differences of each layer. Layers that do not correspond are listed in it.

    Raises:
        TypeError: If `model` is not a Keras model, or `against` is of another type.
        ValueError: If `against` is not one thing to compare with, or does not fit the model.
        ImageError: If an image cannot be used.

    Example:
        compare(model, "cat.png", "finetuned.keras").first_over
    """
    am = activation_model(model)
    name, images = single_image(image, bands)
    reference = _one_reference(against, am, images, bands)
    am_b, image_b = reference.side(am, images[name])
    state = ViewState(layer="", image=name, preprocess=preprocess, fit=fit)
    (batch,), (batch_b,) = (
        _batches(each, [shown], state, inputs) for each, shown in ((am, images[name]), (am_b, image_b))
    )
    return compare_activations(am, batch, am_b, batch_b, tolerance=tolerance)


def plot_comparison(
    model: keras.Model | ActivationModel,
    image: Any,
    against: Any,
    *,
    tolerance: float = TOLERANCE,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    dark: bool = False,
    width: int = PAGE_WIDTH,
    ratio: int = 2,
) -> FeatureFigure:
    """Draw how far every layer is from what it computes for another image, weights or model.

    Args:
        model: As for `compare`, like `image`, `against`, `tolerance`, `preprocess`, `fit`, `inputs`, `bands`.
        image: The image.
        against: What to compare with.
        tolerance: Drawn as a line; the first layer above it is marked.
        preprocess: The scaling of the images.
        fit: How images of other proportions fill the model's input.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display.
        dark: Whether the background is dark.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Pixels per CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.

    Raises:
        TypeError, ValueError, ImageError: As `compare` does.
    """
    am = activation_model(model)
    options: dict[str, Any] = {"preprocess": preprocess, "fit": fit, "inputs": inputs, "bands": bands}
    comparison = compare(am, image, against, tolerance=tolerance, **options)
    title = f"{am.model.name} · comparison"
    return feature_figure(draw_comparison(comparison, width, ratio, title=title), dark=dark)


def cka(
    model: keras.Model | ActivationModel,
    images: Any,
    against: Any,
    *,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    max_bytes: int = MAX_BYTES,
) -> CKA:
    """Compute how similar the layers of two models are over many images, by linear CKA.

    Each image is given to the model once for every `max_bytes` that the maps of all images take, unless they
    are in the cache. For hundreds of images and a large model this takes long: raise it as far as there is
    memory.

    Args:
        model: A Keras model, or an `ActivationModel`.
        images: The images, as for `FeatureMapWidget`, but up to 2000, and of a data set all. The more, the
            better: of few images, all layers seem alike.
        against: Another model, a `Snapshot` or a file of weights, as for `compare`; or the model itself, to
            compare its layers with each other.
        preprocess: The scaling of the images, as for `compare`, like `fit`, `inputs` and `bands`.
        fit: How images of other proportions fill the model's input.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display.
        max_bytes: Bytes of maps to hold at a time, for all images together.

    Returns:
        The similarity of each layer of `model` with each layer of the other.

    Raises:
        TypeError: If `model` is not a Keras model, or `against` of another type.
        ValueError: If `against` is not one model or set of weights, or does not fit the model; or if the
            maps of a layer have other shapes for other images.
        ImageError: If one of the images cannot be used, or there are more than 2000.

    Example:
        similarity = cka(model, "photos", "finetuned.keras")
        plot_cka(similarity)
    """
    am = activation_model(model)
    loaded = usable_images(images, bands, MANY_IMAGES)
    reference = _one_reference(against, am, loaded, bands)
    probe = next(iter(loaded.values())).copy("")
    am_b, image_b = reference.side(am, probe)
    if image_b is not probe:
        raise ValueError(
            f"against must be another model or set of weights. Received the image {image_b.name!r}. Use "
            "compare for two images."
        )
    state = ViewState(layer="", image="", preprocess=preprocess, fit=fit)
    batches = batches_b = _batches(am, loaded.values(), state, inputs)
    name_a = name_b = am.model.name
    if am_b.model is am.model:
        am_b = am.at(am_b.snapshot)
        if am_b is not am:
            name_a += f", {weights_in_words(am.snapshot)}"
            name_b += f", {LIVE_NAME if am_b.snapshot is None else reference.name}"
    else:
        batches_b = _batches(am_b, loaded.values(), state, inputs)
        name_a += "" if am.snapshot is None else f", {am.snapshot.name}"
        name_b = reference.name
    return cka_of(am, batches, am_b, batches_b, names=(name_a, name_b), max_bytes=max_bytes)


def plot_cka(
    similarity: CKA, *, dark: bool = False, width: int = PAGE_WIDTH, ratio: int = 2
) -> FeatureFigure:
    """Draw the similarity of the layers of two models as a heat map.

    Args:
        similarity: The result of `cka`.
        dark: Whether the background is dark.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Pixels per CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.
    """
    return feature_figure(draw_cka(similarity, width, ratio), dark=dark)


def _one_reference(
    against: Any, am: ActivationModel, images: Mapping[str, NamedImage], bands: Sequence[int] | None
) -> Reference:
    if isinstance(against, int) and against != LIVE:
        raise TypeError(
            f"against must be a snapshot rather than the number of its step. Received {against}. Pass "
            f"run[{against}], where run is the WeightSnapshots that holds it."
        )
    references = find_references(against, am.model, images, None, bands)
    if len(references) != 1:
        raise ValueError(
            f"against must be one thing to compare with. Received {len(references)}. Compare with one after "
            "another."
        )
    return next(iter(references.values()))


def _batches(
    am: ActivationModel, images: Iterable[NamedImage], state: ViewState, inputs: ExtraInputs | None
) -> list[Batch]:
    """Return the model's input for each image."""
    evaluation = Evaluation(inputs)
    return [evaluation.prepare(am, image, state)[0] for image in images]
