/** The files of an artifact, with a preview of text and images over the list. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { readText } from "../../api/client";
import type { ArtifactFile } from "../../api/types";
import { put, useAddress } from "../../app/address";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { bytes } from "../../format/text";
import { local } from "../run/run-files";
import { isText, kindOf } from "./file-kind";
import { SourceText } from "./source-text";

/** Bytes of a file that the page shows itself; larger ones are downloaded. */
const PREVIEW = 1 << 20;
/** Lists of so many files have a filter. */
const MANY = 12;

const fields: Fields<ArtifactFile> = { path: (file) => file.path };
const nameOf = (file: ArtifactFile) => file.path.split("/").at(-1) ?? file.path;

/** The text of a file of an artifact. */
export const fileTextQuery = (file: Pick<ArtifactFile, "digest" | "path" | "url">) => ({
  // Links are signed anew each time; the content is named by its digest.
  queryKey: ["artifacts", "text", file.digest, file.path],
  queryFn: async ({ signal }: { signal: AbortSignal }) => readText(local(file.url), signal),
  staleTime: Infinity,
});

export function ArtifactFiles({ files }: { files: ArtifactFile[] }) {
  const [search, change] = useAddress();
  const filter = useListFilter("Filter files", []);
  const shown = filter.keep(files, fields);
  const open = files.find((file) => file.path === search.get("file"));
  const show = (path: string | null) => change((params) => put(params, "file", path));
  const linkTo = (path: string) => {
    const params = new URLSearchParams(search);
    params.set("file", path);
    return `?${params}`;
  };
  const references = files.some((file) => file.reference);
  return (
    <>
      {files.length > MANY && <div className="row wrap">{filter.bar}</div>}
      <Rows<ArtifactFile>
        name="Files"
        rows={shown}
        id={(file) => file.path}
        open={open?.path}
        onOpen={(file) => show(file.path)}
        columns={[
          {
            name: "Path",
            cell: (file) => (
              <Link to={linkTo(file.path)} className="mono">
                {file.path}
              </Link>
            ),
          },
          { name: "Size", num: true, cell: (file) => bytes(file.size_bytes) },
          ...(references ? [{ name: "Reference", wide: true, cell: (file: ArtifactFile) => <code>{file.reference ?? ""}</code> }] : []),
          { name: "Download", hidden: true, num: true, cell: (file) => !file.reference && <a href={local(file.url)} download={nameOf(file)}>Download</a> },
        ]}
      />
      {filter.none(shown)}
      <Cut list={files} what="files" />
      {open && (
        <RowDrawer
          wide
          what="file"
          name={`File ${open.path}`}
          title={open.reference ? open.path : <a href={local(open.url)}>{open.path}</a>}
          id={open.path}
          ids={shown.map((file) => file.path)}
          onShow={show}
          foot={
            !open.reference && (
              <a className="button" href={local(open.url)} download={nameOf(open)}>
                Download
              </a>
            )
          }
        >
          <FilePreview file={open} />
        </RowDrawer>
      )}
    </>
  );
}

/** Text with line numbers, or an image. Nothing of a file is ever put into the page as markup. */
export function FilePreview({ file }: { file: ArtifactFile }) {
  if (file.reference)
    return (
      <Empty>
        It is kept elsewhere: <code>{file.reference}</code>
      </Empty>
    );
  const kind = kindOf(file.path);
  if (kind === "other") return <Empty>There is no preview of such a file ({bytes(file.size_bytes)}).</Empty>;
  if (file.size_bytes > PREVIEW) return <Empty>It is too large to be shown here ({bytes(file.size_bytes)}).</Empty>;
  if (kind === "image") return <img src={local(file.url)} alt={file.path} style={{ maxWidth: "100%", objectFit: "contain" }} />;
  return <TextOf file={file} />;
}

function TextOf({ file }: { file: ArtifactFile }) {
  const text = useQuery(fileTextQuery(file));
  return (
    <View query={text} height={240}>
      {(body) => (isText(body) ? <SourceText name={file.path} text={body} /> : <Empty>It is no text ({bytes(file.size_bytes)}).</Empty>)}
    </View>
  );
}
