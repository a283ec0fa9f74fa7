// Pictures made of the bytes that Python sent.

const CHUNK = 3 * 4096; // bytes at a time: a function takes so many arguments, and three bytes are four letters

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
  // Written out in the address: to fetch it from a blob takes ten times as long, a fifth of a frame.
  image.src = `data:image/png;base64,${base64(bytes)}`;
  await loaded;
  return image;
}

function base64({ buffer, byteOffset, byteLength }) {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  if (bytes.toBase64) return bytes.toBase64(); // a tenth of the time
  const letters = [];
  for (let start = 0; start < byteLength; start += CHUNK) {
    letters.push(String.fromCharCode(...bytes.subarray(start, start + CHUNK)));
  }
  return btoa(letters.join(""));
}
