"""The view state and the display context, and the frame that is computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmwidget.models.outputs import maps_shape
from fmwidget.references import LIVE, LIVE_NAME
from fmwidget.rendering.text import elide

if TYPE_CHECKING:
    from fmwidget.activations.layers import FeatureLayer
    from fmwidget.activations.model import ActivationModel
    from fmwidget.analysis.channel_stats import Array, ChannelScale, ChannelStatistics
    from fmwidget.analysis.comparison import Comparison
    from fmwidget.analysis.contrast import Contrast
    from fmwidget.analysis.depth_profile import DepthProfile
    from fmwidget.analysis.step_history import StepHistory
    from fmwidget.images.arrays import Bands
    from fmwidget.models.batch import Preprocess
    from fmwidget.models.input_scaling import Scaling
    from fmwidget.models.inputs import Batch
    from fmwidget.rendering.grid_layout import GridLayout
    from fmwidget.snapshots.snapshot import Snapshot

NARROWEST, WIDEST = 360, 1200  # CSS px between which the grid's width follows the display's
SCALES = ("step", "run")
LONGEST_NAME = 60  # characters of the label of a snapshot that are shown


@dataclass(frozen=True)
class DisplayContext:
    """The surface that a frame is drawn for.

    Attributes:
        ratio: Device pixels per CSS pixel.
        dark: Whether the background is dark.
        width: Width in CSS pixels that is available.
    """

    ratio: float
    dark: bool
    width: int


@dataclass(frozen=True, kw_only=True)
class ViewState:
    """The user's choices: the traits of the widget, under their names."""

    layer: str
    channel: int = 0
    image: str
    preprocess: Preprocess = "auto"
    fit: str = "stretch"
    norm: str = "standardize"
    cmap: str = "viridis"
    order: str = "index"
    opacity: int = 0
    page: int = 0
    profile: bool = False
    step: int = LIVE
    scale: str = "step"
    history: bool = False
    against: str = ""
    side: str = "difference"


@dataclass(frozen=True, eq=False)
class Frame:
    """Everything on screen, as computed for one view state and display context.

    Attributes:
        layer: The chosen layer.
        maps: Its feature maps `(H, W, C)`, read-only.
        statistics: The statistics of each channel.
        channel: Index of the chosen channel.
        layout: Positions of the channels' tiles.
        page: The page of the layout on screen.
        norm: The normalization, one of `NORMS`.
        cmap: Name of a matplotlib colormap.
        image: Name of the image.
        bands: Indices of the channels to display, of an image that is not grey, RGB or RGBA.
        input_image: The image in the model's input, `(1, H, W, C)`, or `None`.
        data_format: Data format of `input_image`, `"channels_last"` or `"channels_first"`.
        scaling: The scaling of the image for the model.
        fit: The method that brought the image to the model's size, one of `FITS`.
        opacity: Opacity of the chosen channel over the image, 0 to 100.
        outputs: The model's outputs, without the batch axis.
        batch: The model's input.
        profile: The depth profile of the image, if the view state asks for it and there is no reference.
        display: The display context.
        activations: Runs the model, with the weights of the side on screen; of A for the difference.
        run: The snapshots of training, by step; empty if there are none.
        snapshot: The chosen one, whose weights A is computed with; `None` for the model's own.
        scale: The range that maps are normalized by, if it is not that of `maps`.
        scale_note: The words for that range.
        history: The course of each layer over the steps; `None` while it is being computed.
        shows_history: Whether the view state asks for it.
        contrast: The maps of both sides, if there is a reference that has them.
        side: `"a"`, `"b"` or `"difference"`, the side of `contrast` that is on screen.
        problem: The reason why there is a reference, but no contrast; empty otherwise.
        comparison: The differences of all layers, in place of the profile if there is a reference.
        outputs_b: The outputs of the reference, if there is a contrast.
    """

    layer: FeatureLayer
    maps: Array
    statistics: ChannelStatistics
    channel: int
    layout: GridLayout
    page: int
    norm: str
    cmap: str
    image: str
    bands: Bands | None
    input_image: Array | None
    data_format: str
    scaling: Scaling
    fit: str
    opacity: int
    outputs: Any
    batch: Batch
    profile: DepthProfile | None
    display: DisplayContext
    activations: ActivationModel
    run: tuple[Snapshot, ...] = ()
    snapshot: Snapshot | None = None
    scale: ChannelScale | None = None
    scale_note: str = ""
    history: StepHistory | None = None
    shows_history: bool = False
    contrast: Contrast | None = None
    side: str = "a"
    problem: str = ""
    comparison: Comparison | None = None
    outputs_b: Any = None

    @property
    def weights(self) -> str:
        """The words for the weights on screen, where there is a choice; of A for the difference."""
        return weights_in_words(self.activations.snapshot) if self.run else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """The words for the side on screen, or else for the weights, where there is a choice."""
        if self.contrast is None:
            return (self.weights,) if self.run else ()
        a, b = self.contrast.name_a, self.contrast.name_b
        return ({"a": f"A: {a}", "b": f"B: {b}", "difference": f"A − B: {a} − {b}"}[self.side],)

    @property
    def sizes(self) -> tuple[int, int]:
        """Height and width of the image in the model's input; 0 if there is none."""
        return (
            (0, 0) if self.input_image is None else maps_shape(self.input_image.shape, self.data_format)[:2]
        )

    @property
    def ratio(self) -> int:
        """Whole device pixels per CSS pixel; at most 2, beyond which single pixels are not visible."""
        return 2 if self.display.ratio > 1 else 1


def weights_in_words(snapshot: Snapshot | None) -> str:
    """Return the words for the weights that a frame is computed with."""
    return LIVE_NAME if snapshot is None else elide(snapshot.name, LONGEST_NAME, len)
