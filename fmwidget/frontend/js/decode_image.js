// Images made of the bytes that Python sent.

const CHUNK = 3 * 4096; // bytes at a time: the arguments of a call are limited, and 3 bytes are 4 letters

// Return the image, ready to be shown, or `null` if there are no bytes.
export async function decode(bytes) {
  if (!bytes?.byteLength) return null;
  const image = new Image();
  // The browser then shows the image and what changes with it in one frame. To await `decode()` as well costs a
  // frame or two: it is resolved between frames, after whatever else is new has been decoded too.
  image.decoding = "sync";
  const loaded = new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("not a picture"));
  });
  image.src = dataUrl(bytes);
  await loaded;
  return image;
}

// Return the bytes as a URL: to fetch a blob takes ten times as long, a fifth of a frame.
export function dataUrl(bytes) {
  return bytes?.byteLength ? `data:image/png;base64,${base64(bytes)}` : "";
}

function base64({ buffer, byteOffset, byteLength }) {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  if (bytes.toBase64) return bytes.toBase64(); // takes a tenth of the time
  const letters = [];
  for (let start = 0; start < byteLength; start += CHUNK) {
    letters.push(String.fromCharCode(...bytes.subarray(start, start + CHUNK)));
  }
  return btoa(letters.join(""));
}
