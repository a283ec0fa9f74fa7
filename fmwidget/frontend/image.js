// Pictures made of the bytes that Python sent.

// The picture, ready to be shown; `null` if there are no bytes.
export async function decode(bytes) {
  if (!bytes?.byteLength) return null;
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  try {
    await image.decode();
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
