"""Train the model behind `fmwidget.sample_model()` and write it, with its class names, into `fmwidget/data`.

Exemplar training: every image is a class of its own and the network learns to tell random crops of them
apart, which suffices for filters of edges, textures and parts. It takes about four minutes on two cores:

    python scripts/train_sample_model.py

The images are those that scikit-image, scikit-learn and matplotlib install (`fmwidget/data/LICENCES.md`
lists them). Seeds are fixed, but sums on several threads round differently: weights vary from run to run.
"""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from fmwidget import sample_images

DATA = Path(__file__).parents[1] / "fmwidget" / "data"
SEED = 2
SIDE = 150
ROUNDS, CROPS, BATCH = 20, 1200, 32

EXEMPLARS = {
    "cat": "skimage/data/chelsea.png",
    "astronaut": "skimage/data/astronaut.png",
    "coffee": "skimage/data/coffee.png",
    "photographer": "skimage/data/camera.png",
    "rocket": "skimage/data/rocket.jpg",
    "brick": "skimage/data/brick.png",
    "cell": "skimage/data/cell.png",
    "chessboard": "skimage/data/chessboard_GRAY.png",
    "clock": "skimage/data/clock_motion.png",
    "coins": "skimage/data/coins.png",
    "grass": "skimage/data/grass.png",
    "gravel": "skimage/data/gravel.png",
    "horse": "skimage/data/horse.png",
    "galaxies": "skimage/data/hubble_deep_field.jpg",
    "tissue": "skimage/data/ihc.png",
    "logo": "skimage/data/logo.png",
    "blood vessels": "skimage/data/microaneurysms.png",
    "moon": "skimage/data/moon.png",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "page": "skimage/data/page.png",
    "phantom": "skimage/data/phantom.png",
    "retina": "skimage/data/retina.jpg",
    "text": "skimage/data/text.png",
    "temple": "sklearn/datasets/images/china.jpg",
    "flower": "sklearn/datasets/images/flower.jpg",
    "admiral": "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    "present": "matplotlib/mpl-data/sample_data/Minduka_Present_Blue_Pack.png",
}
PATTERNS = ("gratings", "colour wheel", "shapes")


def main() -> None:
    keras.utils.set_random_seed(SEED)
    generator = np.random.default_rng(SEED)
    images = exemplars()
    model = build_model(len(images))
    started = time.perf_counter()
    train(model, list(images.values()), generator)
    seconds = time.perf_counter() - started
    crops, labels = draw_crops(list(images.values()), 1000, generator)
    right = np.mean(probabilities(model, crops).argmax(-1) == labels)
    print(f"trained in {seconds:.0f} s; {right:.1%} of 1,000 fresh crops are recognised")

    # Saved from a model that was never compiled, so that no optimizer state is saved; and with plain
    # initializers, since older Keras releases cannot read the configuration that newer ones write of others.
    bare = build_model(len(images), kernels="zeros", head="zeros")
    bare.set_weights(model.get_weights())
    bare.save(DATA / "sample_model.keras")
    names = json.dumps(list(images), indent=2)
    (DATA / "sample_class_names.json").write_text(names + "\n", "utf-8")
    report(bare, list(images))


def exemplars() -> dict[str, Image.Image]:
    """Load the images, one a class; large ones are shrunk, or their crops would alias."""
    images = {name: open_packaged(path) for name, path in EXEMPLARS.items()}
    drawn = sample_images()
    images |= {name: Image.fromarray(drawn[name]) for name in PATTERNS}
    return {name: shrink(image, 3 * SIDE) for name, image in images.items()}


def open_packaged(path: str) -> Image.Image:
    """Open `package/path` as RGB, transparency on white."""
    package, _, inside = path.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"Training needs the images of {package}. Install it first.")
    with Image.open(Path(spec.origin).parent / inside) as file:
        image = file.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    factor = min(1, short_side / min(image.size))
    return image.resize([round(factor * side) for side in image.size], Image.Resampling.LANCZOS)


def build_model(classes: int, kernels: str = "he_normal", head: str = "glorot_uniform") -> keras.Model:
    """Build the tutorial's eight convolution and pooling layers under a global-average-pooling head."""
    keras.backend.clear_session()  # so that the names start at `conv2d` for each model built
    layers: list[keras.Layer] = [keras.Input((SIDE, SIDE, 3))]
    for filters in (32, 64, 128, 128):
        convolution = keras.layers.Conv2D(filters, 3, activation="relu", kernel_initializer=kernels)
        layers += [convolution, keras.layers.MaxPooling2D(2)]
    layers += [
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(classes, activation="softmax", kernel_initializer=head),
    ]
    return keras.Sequential(layers, name="sample_model")


def train(model: keras.Model, images: list[Image.Image], generator: np.random.Generator) -> None:
    steps = ROUNDS * -(-CROPS // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=steps // 12)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    for done in range(ROUNDS):
        crops, labels = draw_crops(images, CROPS, generator)
        model.fit(crops, labels, batch_size=BATCH, initial_epoch=done, epochs=done + 1, verbose=2)


def draw_crops(
    images: list[Image.Image], count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw random crops of random images, as model input in 0…1, and the index of each crop's image."""
    labels = generator.permutation(np.arange(count) % len(images))
    crops = np.stack([jitter(draw_crop(images[label], generator), generator) for label in labels])
    return crops.astype(np.float32), labels


def draw_crop(image: Image.Image, generator: np.random.Generator) -> np.ndarray:
    """Draw a part of the image or all of it, rotated by up to 20° and perhaps mirrored."""
    size = np.array(image.size)
    # A square inside the image, the whole image, or a square around it, as with `fit` crop, stretch and pad.
    frame = (np.full(2, size.min()), size, np.full(2, size.max()))[generator.integers(3)]
    half = generator.uniform(0.25, 1) * frame / 2
    x, y = size / 2 + generator.uniform(-1, 1, 2) * np.maximum(size / 2 - half, 0)
    angle = np.deg2rad(generator.uniform(-20, 20))
    # PIL maps pixels of the crop to the image. Drawn at twice the side and reduced: no aliasing.
    step_x, step_y = half / SIDE * [generator.choice([-1, 1]), 1]
    a, b = step_x * np.cos(angle), -step_y * np.sin(angle)
    d, e = step_x * np.sin(angle), step_y * np.cos(angle)
    affine = (a, b, x - (a + b) * SIDE, d, e, y - (d + e) * SIDE)
    drawn = (2 * SIDE, 2 * SIDE)
    crop = image.transform(drawn, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.asarray(crop.reduce(2), np.float32) / 255


def jitter(crop: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Vary brightness, contrast, saturation and white balance; make every sixth crop grey."""
    saturation = generator.choice([0, generator.uniform(0.6, 1.4)], p=[1 / 6, 5 / 6])
    grey = crop.mean(-1, keepdims=True)
    crop = grey + saturation * (crop - grey)
    crop = crop.mean() + generator.uniform(0.7, 1.3) * (crop - crop.mean())
    return np.clip(crop * generator.uniform(0.9, 1.1, 3) + generator.uniform(-0.1, 0.1), 0, 1)


def probabilities(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(batch, batch_size=BATCH, verbose=0))


def report(model: keras.Model, names: list[str]) -> None:
    """Print the predicted class of each sample and the number of inactive filters by layer."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    peaks = keras.Model(model.inputs, [keras.ops.max(layer.output, (1, 2)) for layer in convolutions])
    samples = sample_images()
    batch = np.stack([stretch(pixels) for pixels in samples.values()])
    silent = [peak <= 0 for peak in peaks.predict(batch, verbose=0)]
    for index, (name, scores) in enumerate(zip(samples, probabilities(model, batch), strict=True)):
        counts = ", ".join(str(layer[index].sum()) for layer in silent)
        print(f"{name}: {names[scores.argmax()]} {scores.max():.2f}; inactive filters by layer: {counts}")
    print("inactive on every sample:", ", ".join(str(layer.all(0).sum()) for layer in silent))


def stretch(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE)), np.float32) / 255


if __name__ == "__main__":
    main()
