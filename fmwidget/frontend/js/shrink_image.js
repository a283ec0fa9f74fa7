// Shrinking of image files to what is sent to the kernel.

import { element } from "./dom.js";

const MAX_SIDE = 2048; // px, of what is sent
const MAX_FILE = 100e6; // bytes, of what is read
const MAX_SENT = 4e6; // bytes; the server drops messages of more than 10 MiB without an error

// A problem with a file, as a sentence for the user.
export class Problem extends Error {}

// Return the bytes to send for a file.
export async function shrunk(file) {
  if (file.size > MAX_FILE) {
    throw new Problem(`${quoted(file)} has ${megabytes(file.size)}; at most ${megabytes(MAX_FILE)} are read.`);
  }
  if (file.size === 0) throw new Problem(`${quoted(file)} is empty (0 bytes), or a folder.`);
  let bitmap;
  const type = await mimeType(file);
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Problem(
      type
        ? `${quoted(file)} is damaged, or too large for this browser to decode.`
        : `${quoted(file)} is not a picture that this browser can read: save it as PNG or JPEG.`,
    );
  }
  try {
    // No pixel changes in a small file.
    const longest = Math.max(bitmap.width, bitmap.height);
    if (longest <= MAX_SIDE && file.size <= MAX_SENT && type) return await file.arrayBuffer();
    return await encoded(bitmap, Math.min(1, MAX_SIDE / longest), type !== "image/jpeg", file);
  } finally {
    bitmap.close();
  }
}

// Encode a bitmap in at most `MAX_SENT` bytes: as PNG where it has transparent pixels, else as JPEG.
async function encoded(bitmap, scale, mayBeTransparent, file) {
  if (mayBeTransparent) {
    const canvas = resized(bitmap, scale);
    const blob = hasTransparency(canvas) ? await toBlob(canvas, "image/png") : null;
    if (blob && blob.size <= MAX_SENT) return blob.arrayBuffer();
  }
  for (const smaller of [1, 0.7, 0.5, 0.35]) {
    const canvas = resized(bitmap, scale * smaller, "#fff"); // as the kernel would flatten it
    for (const quality of [0.92, 0.8]) {
      const blob = await toBlob(canvas, "image/jpeg", quality);
      if (blob && blob.size <= MAX_SENT) return blob.arrayBuffer();
    }
  }
  throw new Problem(`${quoted(file)} is too large for this browser to shrink: save it smaller.`);
}

function resized(bitmap, scale, background) {
  const canvas = element("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (background) {
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.imageSmoothingQuality = "high"; // averages, where the default would drop pixels
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function hasTransparency(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
  return false;
}

function toBlob(canvas, type, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

// Return the MIME type of a format that the kernel reads too, else `undefined`. It depends on the first bytes: the
// type that the browser reports is only the suffix.
async function mimeType(file) {
  let start;
  try {
    start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  } catch {
    throw new Problem(`${quoted(file)} cannot be read: is it a folder, or gone?`);
  }
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (start.startsWith("GIF8")) return "image/gif";
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "image/webp";
  if (start.startsWith("BM")) return "image/bmp";
  return undefined;
}

export function quoted(file) {
  return `'${short(file.name)}'`;
}

export function short(name) {
  return name.length <= 60 ? name : `${name.slice(0, 30)}…${name.slice(-29)}`;
}

function megabytes(bytes) {
  return `${Math.ceil(bytes / 1e6).toLocaleString("en")} MB`;
}
