"""Look inside a convolutional network from a Jupyter notebook.

`display(FeatureMapWidget(model))` offers every layer of the model, every channel of the layer and every
picture, and shows the feature maps at once. `plot_feature_maps` and `plot_channel` draw the same figures from
plain scripts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._quiet import quiet_imports

if TYPE_CHECKING:
    from .activations import ActivationModel
    from .plots import plot_channel, plot_depth_profile, plot_feature_maps
    from .profile import DepthProfile, depth_profile
    from .receptive_fields import Field, ReceptiveField, field_of, receptive_field
    from .samples import sample_class_names, sample_images, sample_model
    from .widget import FeatureMapWidget

__version__ = "0.1.0"

__all__ = [
    "ActivationModel",
    "DepthProfile",
    "FeatureMapWidget",
    "Field",
    "ReceptiveField",
    "depth_profile",
    "field_of",
    "plot_channel",
    "plot_depth_profile",
    "plot_feature_maps",
    "receptive_field",
    "sample_class_names",
    "sample_images",
    "sample_model",
]

_HOME = {
    "ActivationModel": "activations",
    "DepthProfile": "profile",
    "FeatureMapWidget": "widget",
    "Field": "receptive_fields",
    "ReceptiveField": "receptive_fields",
    "depth_profile": "profile",
    "field_of": "receptive_fields",
    "plot_channel": "plots",
    "plot_depth_profile": "plots",
    "plot_feature_maps": "plots",
    "receptive_field": "receptive_fields",
    "sample_class_names": "samples",
    "sample_images": "samples",
    "sample_model": "samples",
}


def __getattr__(name: str) -> Any:
    # Names are imported when they are first asked for, so that the `fmwidget` command opens JupyterLab
    # without waiting seconds for TensorFlow.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with quiet_imports():
        module = import_module(f"{__name__}.{_HOME[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
