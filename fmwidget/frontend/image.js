// Pictures made of the bytes that Python sent.

// The picture, ready to be shown; `null` if there are no bytes.
export async function decode(bytes) {
  if (!bytes?.byteLength) return null;
  const image = new Image();
  // The browser shows the picture and what changes with it in one frame. To await `decode()` as well would cost
  // a frame or two: it is answered between frames, when whatever else is new has been decoded too.
  image.decoding = "sync";
  const loaded = new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("not a picture"));
  });
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  try {
    await loaded;
  } catch (error) {
    release(image);
    throw error;
  }
  return image;
}

// Only once the picture leaves the screen: until then the reader may want to copy or save it.
export function release(image) {
  if (image) URL.revokeObjectURL(image.src);
}
