"""Which positions of its input each position of a layer's output depends on, by the kind of layer.

A layer that is not known here is `Unknown`: nothing is guessed from names or shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import keras

from fmwidget.models.outputs import is_video

from .axes import Axis, Resample, TransposedWindow, Window
from .relations import Global, Identity, Local, PerTimeStep, Recurrent, Relation, TensorLayout, Unknown

_SAME = frozenset(
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
_EVERYTHING = frozenset(
    {
        "AdditiveAttention",
        "Attention",
        "Flatten",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GlobalMaxPooling3D",
        "GroupNormalization",
        "GroupQueryAttention",
        "GroupedQueryAttention",
        "MultiHeadAttention",
    }
)
_ALONG_AN_AXIS = frozenset(
    {
        "Concatenate",
        "LayerNormalization",
        "LogSoftmax",
        "RMSNormalization",
        "Softmax",
        "Split",
        "UnitNormalization",
    }
)
_REDUCED = frozenset({"Amax", "Amin", "Max", "Mean", "Min", "Sum", "Std", "Var"})
_RESHAPED = frozenset({"ExpandDims", "Reshape", "Squeeze"})


def is_known(operation: keras.Operation) -> bool:
    """Whether the call of a layer is described as a whole, whatever it calls inside."""
    kind = _kind(operation)
    if kind == "TimeDistributed":
        return is_known(operation.layer)
    described = _SAME | _EVERYTHING | _ALONG_AN_AXIS | _REDUCED | _RESHAPED | set(_LOCAL)
    return (
        kind in described
        or kind in ("Average", "ConvLSTM2D", "Dense", "Pad", "Permute", "Transpose")
        or _is_augmentation(kind)
    )


def relation(operation: keras.Operation, name: str, source: TensorLayout, output: TensorLayout) -> Relation:
    """How the output of a layer's call hangs on one of the tensors it was given."""
    kind = _kind(operation)
    unknown = Unknown(f"It is not known what part of its input {name!r} ({type(operation).__name__}) sees.")
    if kind in ("ConvLSTM2D", "TimeDistributed"):
        through_time = _recurrent if kind == "ConvLSTM2D" else _per_frame
        return (through_time(operation, name, source, output) if is_video(source) else None) or unknown
    if kind in _LOCAL:
        windows = _LOCAL[kind](operation, source.positions, output.positions)
        return Local(*windows) if windows and len(source.positions) == len(output.positions) == 2 else unknown
    if kind == "Pad":
        return _padded(operation, source, output) or unknown
    if kind in _EVERYTHING:
        return Global()
    if kind in _SAME or _is_augmentation(kind) or (kind == "Average" and isinstance(operation, keras.Layer)):
        return _pointwise(source, output) or unknown
    if kind == "Dense":
        return Identity() if source.channel_axis == len(source.shape) - 1 else unknown
    if kind in _ALONG_AN_AXIS or kind in _REDUCED:
        axes = {axis % len(source.shape) for axis in _listed(getattr(operation, "axis", None))}
        if axes == {source.channel_axis}:
            return _pointwise(source, output) or unknown
        over_all = axes.issuperset(source.place_axes) and kind != "Concatenate"
        return Global() if over_all or len(source.shape) == 2 else unknown
    if kind in _RESHAPED:
        if math.prod(source.positions) == 1 or math.prod(output.positions) == 1:
            return Global()
        in_order = source.shape[-1] == output.shape[-1] and source.channel_axis == len(source.shape) - 1
        return Identity() if in_order and output.channel_axis == len(output.shape) - 1 else unknown
    if kind in ("Permute", "Transpose"):
        dims = [0, *operation.dims] if kind == "Permute" else list(operation.axes or ())
        moved = [dims[axis] for axis in output.place_axes] if len(dims) == len(output.shape) else []
        return Identity() if moved == source.place_axes else unknown
    return unknown


def _per_frame(layer: Any, name: str, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """The same for each frame; a layer that sees all of a frame is taken to see all of the film."""
    if source.shape[1] != output.shape[1]:
        return None
    inner = relation(layer.layer, name, source.frame, output.frame)
    return PerTimeStep(inner) if isinstance(inner, Local | Identity) else inner


def _recurrent(layer: Any, _: str, source: TensorLayout, output: TensorLayout) -> Relation:
    units = output.frame if is_video(output) else output
    window = Local(*sliding_windows(layer, source.frame.positions))
    # Neither stride nor dilation is that of the layer: step by step its maps keep their size.
    state = _sliding(layer.kernel_size, (1, 1), (1, 1), "same", units.positions)
    return Recurrent(window, Local(*state), layer.go_backwards)


def _padded(operation: Any, source: TensorLayout, output: TensorLayout) -> Relation | None:
    """Padding by a constant; a mirror lets positions at the edge be seen from two sides."""
    if operation.mode != "constant" or not len(source.positions) == len(output.positions) == 2:
        return None
    rows, columns = (Window(padding=operation.pad_width[axis][0]) for axis in source.place_axes)
    return Local(rows, columns)


def _pointwise(source: TensorLayout, output: TensorLayout) -> Relation | None:
    """One value from one, the single position of a source spread over all."""
    if source.positions == output.positions:
        return Identity()
    return Global() if math.prod(source.positions) == 1 else None


def _kind(operation: keras.Operation) -> str:
    """The name of the Keras class that a layer behaves as; empty where somebody else's class may differ."""
    for cls in type(operation).__mro__:
        if cls.__module__.startswith("keras."):
            return str(cls.__name__)
        changed = {name for name in vars(cls) if not name.startswith("__") or name == "__call__"}
        if any(hasattr(base, name) for base in cls.__bases__ for name in changed - {"build", "get_config"}):
            return ""
    return ""


def _is_augmentation(kind: str) -> bool:
    """Keras' augmentations hand pictures on as they are, except in training."""
    return kind.startswith("Random") and kind != "RandomCrop"


def _listed(axis: Any) -> list[int]:
    if axis is None:
        return []
    return [axis] if isinstance(axis, int) else list(axis)


# ------------------------------------------------------------------ layers that see a window

_Sizes = tuple[int, ...]


def _sliding(kernel: Any, stride: Any, dilation: Any, padding: str, inputs: _Sizes) -> list[Window]:
    def window(kernel: int, stride: int, dilation: int, size: int) -> Window:
        reach = (kernel - 1) * dilation + 1
        missing = (-(-size // stride) - 1) * stride + reach - size
        return Window(kernel, stride, max(missing, 0) // 2 if padding == "same" else 0, dilation)

    return [window(*each) for each in zip(kernel, stride, dilation, inputs, strict=True)]


def sliding_windows(layer: Any, inputs: _Sizes) -> list[Window]:
    """The windows of a convolution along rows and columns, over an input of these sizes."""
    return _sliding(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, inputs)


def _convolution(layer: Any, inputs: _Sizes, _: _Sizes) -> Sequence[Axis]:
    return sliding_windows(layer, inputs)


def _pooling(layer: Any, inputs: _Sizes, _: _Sizes) -> Sequence[Axis]:
    size = _pair(layer.pool_size)
    return _sliding(size, _pair(layer.strides or size), (1, 1), layer.padding, inputs)


def _pair(size: int | _Sizes) -> _Sizes:
    """Operations keep what they were given; layers make two of one."""
    return (size, size) if isinstance(size, int) else size


def _transposed(layer: Any, _: _Sizes, outputs: _Sizes) -> list[Axis]:
    # It is the gradient of a convolution from its output to its input: that one's windows, read backwards.
    windows = _sliding(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, outputs)
    return [TransposedWindow(w.kernel, w.stride, w.padding, w.dilation) for w in windows]


def _padding(layer: Any, _: _Sizes, __: _Sizes) -> list[Axis]:
    return [Window(padding=before) for before, _ in layer.padding]


def _cropping(layer: Any, _: _Sizes, __: _Sizes) -> list[Axis]:
    return [Window(padding=-before) for before, _ in layer.cropping]


def _center_crop(_: Any, inputs: _Sizes, outputs: _Sizes) -> list[Axis]:
    cut = [size - kept for size, kept in zip(inputs, outputs, strict=True)]
    return [Window(padding=-(each // 2)) for each in cut] if min(cut) >= 0 else []


def _upsampling(layer: Any, inputs: _Sizes, outputs: _Sizes) -> list[Axis]:
    if layer.interpolation == "nearest":
        return [TransposedWindow(factor, factor) for factor in layer.size]
    return _resampled(layer.interpolation, inputs, outputs)


def _resizing(layer: Any, inputs: _Sizes, outputs: _Sizes) -> list[Axis]:
    plain = not (
        layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or getattr(layer, "antialias", False)
    )
    return _resampled(layer.interpolation, inputs, outputs) if plain else []


def _resampled(interpolation: str, inputs: Iterable[int], outputs: Iterable[int]) -> list[Axis]:
    if interpolation not in ("nearest", "bilinear"):
        return []
    ratios = [Fraction(size, count) for size, count in zip(inputs, outputs, strict=True)]
    return [Resample(ratio, interpolation == "bilinear") for ratio in ratios]


_LOCAL = {
    "AveragePool": _pooling,
    "AveragePooling2D": _pooling,
    "CenterCrop": _center_crop,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "Cropping2D": _cropping,
    "DepthwiseConv2D": _convolution,
    "MaxPool": _pooling,
    "MaxPooling2D": _pooling,
    "Resize": _resizing,
    "Resizing": _resizing,
    "SeparableConv2D": _convolution,
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _padding,
}
