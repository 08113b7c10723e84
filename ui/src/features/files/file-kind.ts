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
