/** What a file is by its name: files of artifacts have no type. Pure. */

const images = new Set(["png", "jpg", "jpeg", "gif", "webp", "bmp", "ico", "svg", "avif"]);
/** Names that are never text; what is text is tried. */
const others = new Set(
  "pt pth ckpt safetensors onnx npy npz pkl pickle h5 hdf5 parquet arrow zip gz bz2 xz zst tar tgz whl so o a bin exe pdf mp3 mp4 wav ogg avi mov ttf woff woff2 sqlite db pyc".split(" "),
);

export function kindOf(path: string): "image" | "text" | "other" {
  const ending = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  return images.has(ending) ? "image" : others.has(ending) ? "other" : "text";
}

/** Whether what was read as text is text. */
export const isText = (body: string) => !body.includes("\0");

/** Bytes that tell text from what is none. */
const LOOKED = 8 << 10;

/** The text that bytes are, or null for a binary file: one with a NUL, or no UTF-8, at its beginning. */
export function textOf(content: Uint8Array): string | null {
  const first = content.subarray(0, LOOKED);
  if (first.includes(0)) return null;
  try {
    // A letter may go on beyond what is looked at; at the end of the file none does.
    new TextDecoder("utf-8", { fatal: true }).decode(first, { stream: content.length > LOOKED });
  } catch {
    return null;
  }
  return new TextDecoder().decode(content);
}
