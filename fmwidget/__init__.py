"""Look inside a convolutional network from a Jupyter notebook.

`display(FeatureMapWidget(model))` offers every layer of the model, every channel of the layer and every
image, and shows the feature maps at once. `plot_feature_maps` and `plot_channel` draw the same figures from
plain scripts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._quiet_imports import quiet_imports

if TYPE_CHECKING:
    from fmwidget.activations.model import ActivationModel
    from fmwidget.analysis.cka import CKA
    from fmwidget.analysis.comparison import Comparison
    from fmwidget.analysis.depth_profile import DepthProfile, depth_profile
    from fmwidget.analysis.receptive_field.fields import Field, ReceptiveField, field_of, receptive_field
    from fmwidget.images.corruptions import blur, noise, occlude, shift
    from fmwidget.snapshots.recorder import WeightSnapshots
    from fmwidget.widget.feature_map_widget import FeatureMapWidget

    from .comparing import cka, compare, plot_cka, plot_comparison
    from .plots import plot_channel, plot_depth_profile, plot_feature_maps
    from .samples import sample_class_names, sample_images, sample_model

__version__ = "0.1.0"

__all__ = [
    "CKA",
    "ActivationModel",
    "Comparison",
    "DepthProfile",
    "FeatureMapWidget",
    "Field",
    "ReceptiveField",
    "StepHistory",
    "WeightSnapshots",
    "blur",
    "cka",
    "compare",
    "depth_profile",
    "field_of",
    "noise",
    "occlude",
    "plot_channel",
    "plot_cka",
    "plot_comparison",
    "plot_depth_profile",
    "plot_feature_maps",
    "receptive_field",
    "sample_class_names",
    "sample_images",
    "sample_model",
    "shift",
    "step_history",
]

_HOME = {
    "ActivationModel": "activations.model",
    "CKA": "analysis.cka",
    "Comparison": "analysis.comparison",
    "DepthProfile": "analysis.depth_profile",
    "FeatureMapWidget": "widget.feature_map_widget",
    "Field": "analysis.receptive_field.fields",
    "ReceptiveField": "analysis.receptive_field.fields",
    "StepHistory": "analysis.step_history",
    "WeightSnapshots": "snapshots.recorder",
    "blur": "images.corruptions",
    "cka": "comparing",
    "compare": "comparing",
    "depth_profile": "analysis.depth_profile",
    "field_of": "analysis.receptive_field.fields",
    "noise": "images.corruptions",
    "occlude": "images.corruptions",
    "plot_channel": "plots",
    "plot_cka": "comparing",
    "plot_comparison": "comparing",
    "plot_depth_profile": "plots",
    "plot_feature_maps": "plots",
    "receptive_field": "analysis.receptive_field.fields",
    "sample_class_names": "samples",
    "sample_images": "samples",
    "sample_model": "samples",
    "shift": "images.corruptions",
    "step_history": "analysis.step_history",
}


def __getattr__(name: str) -> Any:
    # Names are imported on first access, so that the `fmwidget` command opens JupyterLab
    # without waiting seconds for TensorFlow.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with quiet_imports():
        module = import_module(f"{__name__}.{_HOME[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
