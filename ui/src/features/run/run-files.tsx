import { useQuery } from "@tanstack/react-query";
import { readBytes } from "../../api/client";
import { runFilesQuery } from "../../api/queries";
import type { Run, RunFile } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Ago } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { Tree } from "../../components/tree";
import { Cut, Empty, View } from "../../components/view";
import { bytes } from "../../format/text";
import { textOf } from "../files/file-kind";
import { SourceText } from "../files/source-text";

/** Bytes of a file that the page shows itself; larger ones are downloaded. */
const PREVIEW = 2 << 20;

/** Lists of so many files have a filter. */
const MANY = 12;

const fields: Fields<RunFile> = { kind: (file) => file.mimetype, name: (file) => file.name };

/** Links of the server are whole; the page asks its own address, which a proxy in front may have changed. */
export function local(url: string): string {
  const found = new URL(url, location.origin);
  return `${found.pathname}${found.search}`;
}

/** The files of a run, with previews. */
export function RunFiles({ run }: { run: Run }) {
  const files = useQuery(runFilesQuery(run.entity, run.project, run.id));
  const [search, change] = useAddress();
  const open = files.data?.find((file) => file.name === search.get("file"));
  const show = (name: string | null) => change((params) => put(params, "file", name));
  const filter = useListFilter("Filter files", Object.keys(fields), valuesOf(files.data ?? [], { kind: fields.kind! }));
  const shown = filter.keep(files.data ?? [], fields);
  return (
    <>
      <View query={files} height={200} empty={(list) => (list.length === 0 ? <Empty>The run sent no files.</Empty> : null)}>
        {(list) => (
          <>
            {list.length > MANY && <div className="row wrap">{filter.bar}</div>}
            <Rows<RunFile>
              name="Files"
              rows={shown}
              id={(file) => file.name}
              open={open?.name}
              onOpen={(file) => show(file.name)}
              columns={[
                {
                  name: "Name",
                  cell: (file) => (
                    <button type="button" className="link" onClick={() => show(file.name)}>
                      {file.name}
                    </button>
                  ),
                },
                { name: "Kind", wide: true, cell: (file) => file.mimetype },
                { name: "Size", num: true, cell: (file) => bytes(file.size_bytes) },
                { name: "Changed", wide: true, cell: (file) => <Ago time={file.updated_at} /> },
                { name: "Download", hidden: true, num: true, cell: (file) => <a href={local(file.url)} download={file.name.split("/").at(-1)}>Download</a> },
              ]}
            />
            {filter.none(shown)}
            <Cut list={list} what="files" />
          </>
        )}
      </View>
      {open && (
        <RowDrawer
          wide
          what="file"
          name={`File ${open.name}`}
          title={<a href={local(open.url)}>{open.name}</a>}
          id={open.name}
          ids={shown.map((file) => file.name)}
          onShow={show}
          foot={
            <a className="button" href={local(open.url)} download={open.name.split("/").at(-1)}>
              Download
            </a>
          }
        >
          <Preview file={open} />
        </RowDrawer>
      )}
    </>
  );
}

/** Text, images and tables; the server sends everything else with a sandbox of its own, in a frame without rights. */
function Preview({ file }: { file: RunFile }) {
  const kind = file.mimetype;
  if (kind.startsWith("image/")) return <img src={local(file.url)} alt={file.name} style={{ maxWidth: "100%", objectFit: "contain" }} />;
  if (file.size_bytes > PREVIEW) return <Empty>It is too large to be shown here ({bytes(file.size_bytes)}).</Empty>;
  if (kind === "text/html") return <iframe src={local(file.url)} sandbox="" title={file.name} style={{ width: "100%", height: "70vh", border: "1px solid var(--n6)", background: "#fff" }} />;
  if (kind.startsWith("text/") || /json|yaml|xml|toml|javascript|x-sh|octet-stream/.test(kind)) return <TextPreview file={file} />;
  return <Empty>There is no preview of {kind}.</Empty>;
}

/** What a file holds as text, or null where its bytes are none. */
export const fileTextQuery = (file: Pick<RunFile, "name" | "url">) => ({
  queryKey: ["file", file.url],
  queryFn: async ({ signal }: { signal: AbortSignal }) => textOf(await readBytes(local(file.url), signal)),
  staleTime: 60_000,
});

/** Types of files say little: the client calls everything that it does not know `application/octet-stream`. */
function TextPreview({ file }: { file: RunFile }) {
  const text = useQuery(fileTextQuery(file));
  return (
    <View query={text} height={240}>
      {(body) => {
        if (body === null) return <Empty>It is binary ({bytes(file.size_bytes)}): there is no preview, only the download.</Empty>;
        const table = file.name.endsWith(".table.json") ? tableOf(body) : null;
        if (table) return <DataTable table={table} name={file.name} />;
        if (file.name.endsWith(".json")) {
          try {
            const value: unknown = JSON.parse(body);
            if (value && typeof value === "object") return <Tree name={file.name} value={value} search />;
          } catch {
            // It is shown as text.
          }
        }
        return <SourceText name={file.name} text={body} />;
      }}
    </View>
  );
}

interface DataFile {
  columns: string[];
  data: unknown[][];
}

/** A `wandb.Table` as it is stored. */
export function tableOf(text: string): DataFile | null {
  try {
    const value = JSON.parse(text) as Partial<DataFile> | null;
    return Array.isArray(value?.columns) && Array.isArray(value.data) ? { columns: value.columns.map(String), data: value.data } : null;
  } catch {
    return null;
  }
}

function DataTable({ table, name }: { table: DataFile; name: string }) {
  return (
    <>
      <div className="table-box">
        <table className="table" aria-label={name}>
          <thead>
            <tr>
              {table.columns.map((column) => (
                <th key={column}>{column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.data.slice(0, 500).map((row, index) => (
              <tr key={index}>
                {row.map((cell, column) => (
                  <td key={column} className="cut">
                    {typeof cell === "object" ? JSON.stringify(cell) : String(cell)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {table.data.length > 500 && <p className="quiet">500 of {table.data.length.toLocaleString("en-US")} rows are shown.</p>}
    </>
  );
}
