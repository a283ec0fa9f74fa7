"""The relation of a layer's output to its input, by the class of the layer.

A rule takes a layer or operation with the layouts of one input and of the output, and returns their relation,
or `None` where that is not defined. Nothing is guessed: a class without a rule has an `Unknown` relation. To
support another class, add it to `_RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import keras

from fmwidget.models.outputs import is_video

from .axes import AxisRelation, Resample, TransposedWindow, Window
from .layout import Grid, TensorLayout
from .relations import Global, Identity, Local, Recurrent, Relation, Unknown

Rule = Callable[[Any, TensorLayout, TensorLayout], Relation | None]


def is_known(operation: keras.Operation) -> bool:
    """Return whether a call is described as a whole, without regard to the layers that it calls inside."""
    rule = _rule(operation)
    return is_known(operation.layer) if rule is _time_distributed else rule is not None


def relation_of(
    operation: keras.Operation, name: str, source: TensorLayout, output: TensorLayout
) -> Relation | Unknown:
    """Return the relation of a tensor that a call returned to one of its inputs.

    Args:
        operation: The layer or operation that was called.
        name: Its path, for messages.
        source: The layout of the tensor it was given.
        output: The layout of the tensor it returned.
    """
    rule = _rule(operation)
    relation = rule(operation, source, output) if rule else None
    if relation is None:
        return Unknown(
            f"Receptive fields are unavailable: that of layer {name!r} ({type(operation).__name__}) is not "
            "defined in fmwidget."
        )
    return Global(name) if isinstance(relation, Global) else relation


def _rule(operation: keras.Operation) -> Rule | None:
    kind = _keras_class(operation)
    if kind.startswith("Random") and kind != "RandomCrop":
        return _pointwise  # augmentation: in inference mode the input itself
    return _RULES.get(kind)


def _keras_class(operation: keras.Operation) -> str:
    """Return the name of the Keras class that a layer computes as; empty if that cannot be relied on.

    A subclass computes as its base does if it overrides nothing of it but how it is built and saved. That
    goes for any attribute: methods that `call` uses inside may be private.
    """
    for cls in type(operation).__mro__:
        if cls.__module__.startswith("keras."):
            return str(cls.__name__)
        own = {name for name in vars(cls) if not name.startswith("__") or name == "__call__"}
        if any(hasattr(base, name) for base in cls.__bases__ for name in own - {"build", "get_config"}):
            return ""
    return ""


# ------------------------------------------------------------------ without a window


def _pointwise(_: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """A value computed from that at the same position, or from a single one that is broadcast to all."""
    if source.grid == output.grid:
        return Identity()
    return Global() if math.prod(source.grid) == 1 else None


def _global(_: Any, __: TensorLayout, ___: TensorLayout) -> Relation:
    return Global()


def _dense(_: Any, source: TensorLayout, __: TensorLayout) -> Relation | None:
    """A matrix product over the last axis."""
    return Identity() if source.channel_axis == len(source.shape) - 1 else None


def _average(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """The layer averages its inputs; the operation of the same name averages along axes, with weights."""
    return _pointwise(operation, source, output) if isinstance(operation, keras.Layer) else None


def _concatenate(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    is_along_channels = _axes(operation, source) == {source.channel_axis}
    return _pointwise(operation, source, output) if is_along_channels else None


def _along_axes(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """A reduction, a normalization or a split: along the channels, or along all positions."""
    axes = _axes(operation, source)
    if axes == {source.channel_axis}:
        return _pointwise(operation, source, output)
    return Global() if axes.issuperset(source.grid_axes) else None


def _axes(operation: Any, source: TensorLayout) -> set[int]:
    axes = getattr(operation, "axis", None)
    axes = [] if axes is None else [axes] if isinstance(axes, int) else axes
    return {axis % len(source.shape) for axis in axes}


def _reshape(_: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """The positions in the same order, if the channels are the last axis and stay it."""
    if math.prod(source.grid) == 1 or math.prod(output.grid) == 1:
        return Global()
    is_last = all(layout.channel_axis == len(layout.shape) - 1 for layout in (source, output))
    return Identity() if is_last and source.shape[-1] == output.shape[-1] else None


def _permute(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """The positions in the same order: only the channels have moved."""
    axes = [0, *operation.dims] if isinstance(operation, keras.layers.Permute) else list(operation.axes or ())
    if len(axes) != len(output.shape):
        return None
    return Identity() if [axes[axis] for axis in output.grid_axes] == source.grid_axes else None


# ------------------------------------------------------------------ with a window of rows and columns

_Windows = Callable[[Any, Grid, Grid], Sequence[AxisRelation]]


def _local(windows: _Windows) -> Rule:
    """Return a rule from a function of a layer and the sizes of its maps before and after.

    The function returns a relation for rows and one for columns, or nothing where they are not defined.
    """

    def rule(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
        if not len(source.grid) == len(output.grid) == 2:
            return None  # an operation that pools sequences or volumes
        axes = windows(operation, source.grid, output.grid)
        return Local(*axes) if axes else None

    return rule


def sliding_windows(layer: Any, inputs: Grid) -> list[Window]:
    """Return the windows of a convolution along rows and columns.

    Args:
        layer: A `Conv2D`, or a layer with the same settings.
        inputs: The height and width of its input, on which padding depends if there are strides.
    """
    return _sliding(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, inputs)


def _sliding(kernels: Grid, strides: Grid, dilations: Grid, padding: str, inputs: Grid) -> list[Window]:
    axes = zip(kernels, strides, dilations, inputs, strict=True)
    return [
        Window(kernel, stride, _padding(kernel, stride, dilation, size) if padding == "same" else 0, dilation)
        for kernel, stride, dilation, size in axes
    ]


def _padding(kernel: int, stride: int, dilation: int, size: int) -> int:
    """Return the padding before the first input, such that there are `ceil(size / stride)` outputs.

    As in TensorFlow, an odd one goes behind the last input.
    """
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) // 2


def _convolution(layer: Any, inputs: Grid, _: Grid) -> Sequence[AxisRelation]:
    return sliding_windows(layer, inputs)


def _transposed_convolution(layer: Any, _: Grid, outputs: Grid) -> Sequence[AxisRelation]:
    # The gradient of the convolution that leads from its output back to its input.
    return [TransposedWindow(window) for window in sliding_windows(layer, outputs)]


def _pooling(layer: Any, inputs: Grid, _: Grid) -> Sequence[AxisRelation]:
    sizes, strides = _pair(layer.pool_size), _pair(layer.strides or layer.pool_size)
    return _sliding(sizes, strides, (1, 1), layer.padding, inputs)


def _pair(size: int | Grid) -> Grid:
    """Return one number for each axis: layers make two of one, operations keep what they were given."""
    return (size, size) if isinstance(size, int) else size


def _zero_padding(layer: Any, _: Grid, __: Grid) -> Sequence[AxisRelation]:
    return [Window(padding=before) for before, _ in layer.padding]


def _cropping(layer: Any, _: Grid, __: Grid) -> Sequence[AxisRelation]:
    return [Window(padding=-before) for before, _ in layer.cropping]


def _center_crop(_: Any, inputs: Grid, outputs: Grid) -> Sequence[AxisRelation]:
    # A crop larger than the input is resized: there is no window then.
    margins = [before - after for before, after in zip(inputs, outputs, strict=True)]
    return [Window(padding=-(margin // 2)) for margin in margins] if min(margins) >= 0 else []


def _resize(layer: Any, inputs: Grid, outputs: Grid) -> Sequence[AxisRelation]:
    """Resizing or upsampling of the whole input, from one or two neighbours along each axis."""
    settings = "crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"  # layers have some of them
    if any(getattr(layer, setting, False) for setting in settings):
        return []
    if layer.interpolation not in ("nearest", "bilinear"):
        return []
    strides = [Fraction(before, after) for before, after in zip(inputs, outputs, strict=True)]
    return [Resample(stride, layer.interpolation == "bilinear") for stride in strides]


def _pad(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """Padding with a constant. If it mirrors, positions near the edge are read twice: no window has that."""
    if operation.mode != "constant" or not len(source.grid) == len(output.grid) == 2:
        return None
    rows, columns = (Window(padding=operation.pad_width[axis][0]) for axis in source.grid_axes)
    return Local(rows, columns)


# ------------------------------------------------------------------ videos


def _time_distributed(layer: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """The inner layer's relation, in each time step; if that is global, it is taken to span the video."""
    if not is_video(source) or source.shape[1] != output.shape[1]:
        return None
    rule = _rule(layer.layer)
    return rule(layer.layer, source.without_time, output.without_time) if rule else None


def _recurrent(layer: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    if not is_video(source):
        return None
    state = output.without_time if is_video(output) else output
    # The recurrent convolution has neither the strides nor the dilation of the layer: states keep their size.
    state_windows = _sliding(layer.kernel_size, (1, 1), (1, 1), "same", state.grid)
    windows = sliding_windows(layer, source.without_time.grid)
    return Recurrent(Local(*windows), Local(*state_windows), layer.go_backwards)


# ------------------------------------------------------------------ the rule of each class

# In tuples, which keep several names on a line.
_POINTWISE = frozenset(
    {
        *("Activation", "ActivityRegularization", "Add", "AlphaDropout", "BatchNormalization"),
        *("Dropout", "ELU", "GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Maximum"),
        *("Minimum", "Multiply", "Normalization", "PReLU", "ReLU", "Rescaling", "SpatialDropout2D"),
        *("Subtract",),
        # layers of keras.applications
        *("CustomScaleLayer", "LayerScale", "StochasticDepth"),
        # operations
        *("Abs", "Absolute", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Divide", "Elu", "Equal"),
        *("Erf", "Exp", "Expm1", "Floor", "FloorDivide", "Gelu", "Greater", "GreaterEqual"),
        *("HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Less", "LessEqual"),
        *("Log", "Log10", "Log1p", "Log2", "LogSigmoid", "Logaddexp", "LogicalAnd", "LogicalNot"),
        *("LogicalOr", "Mod", "NanToNum", "Negative", "NotEqual", "Power", "Reciprocal", "Relu"),
        *("Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Sinh", "SoftShrink"),
        *("Softplus", "Softsign", "Sqrt", "Square", "Squareplus", "Tan", "Tanh", "TanhShrink"),
        *("Threshold", "TrueDivide", "Trunc", "Where"),
    }
)
_GLOBAL = frozenset(
    {
        *("AdditiveAttention", "Attention", "GroupQueryAttention", "GroupedQueryAttention"),
        *("MultiHeadAttention", "Flatten", "GroupNormalization"),
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
    }
)
_ALONG_AXES = frozenset(
    {
        *("LayerNormalization", "LogSoftmax", "RMSNormalization", "Softmax", "UnitNormalization"),
        *("Amax", "Amin", "Max", "Mean", "Min", "Split", "Std", "Sum", "Var"),
    }
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(_GLOBAL, _global),
    **dict.fromkeys(_ALONG_AXES, _along_axes),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _local(_convolution)),
    **dict.fromkeys(("AveragePool", "AveragePooling2D", "MaxPool", "MaxPooling2D"), _local(_pooling)),
    **dict.fromkeys(("Resize", "Resizing", "UpSampling2D"), _local(_resize)),
    **dict.fromkeys(("ExpandDims", "Reshape", "Squeeze"), _reshape),
    **dict.fromkeys(("Permute", "Transpose"), _permute),
    "Average": _average,
    "CenterCrop": _local(_center_crop),
    "Concatenate": _concatenate,
    "Conv2DTranspose": _local(_transposed_convolution),
    "ConvLSTM2D": _recurrent,
    "Cropping2D": _local(_cropping),
    "Dense": _dense,
    "Pad": _pad,
    "TimeDistributed": _time_distributed,
    "ZeroPadding2D": _local(_zero_padding),
}
