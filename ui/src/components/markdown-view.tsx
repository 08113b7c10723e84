import type { ReactNode } from "react";
import { Link } from "react-router";
import { type Block, blocks, type Inline } from "./markdown";

/** Text of a user with the marks of Markdown, drawn as text. */
export function Markdown({ text }: { text: string }) {
  return <div className="prose">{blocks(text).map(drawBlock)}</div>;
}

function drawInline(piece: Inline, key: number): ReactNode {
  switch (piece.kind) {
    case "text":
      return piece.text;
    case "code":
      return <code key={key}>{piece.text}</code>;
    case "strong":
      return <strong key={key}>{piece.inner.map(drawInline)}</strong>;
    case "em":
      return <em key={key}>{piece.inner.map(drawInline)}</em>;
    case "del":
      return <del key={key}>{piece.inner.map(drawInline)}</del>;
    case "link":
      return piece.href.startsWith("/") ? (
        <Link key={key} to={piece.href}>
          {piece.inner.map(drawInline)}
        </Link>
      ) : (
        <a key={key} href={piece.href} rel="noopener noreferrer nofollow" target="_blank">
          {piece.inner.map(drawInline)}
        </a>
      );
  }
}

function drawBlock(block: Block, key: number): ReactNode {
  switch (block.kind) {
    case "heading":
      // Headings of a note stand below those of the page.
      return block.level <= 2 ? <h3 key={key}>{block.inner.map(drawInline)}</h3> : <h4 key={key}>{block.inner.map(drawInline)}</h4>;
    case "paragraph":
      return <p key={key}>{block.inner.map(drawInline)}</p>;
    case "code":
      return (
        <pre key={key} className="diff">
          {block.text}
        </pre>
      );
    case "quote":
      return <blockquote key={key}>{block.blocks.map(drawBlock)}</blockquote>;
    case "rule":
      return <hr key={key} />;
    case "list": {
      const items = block.items.map((item, index) => <li key={index}>{item.map((inner, at) => (inner.kind === "paragraph" ? <span key={at}>{inner.inner.map(drawInline)}</span> : drawBlock(inner, at)))}</li>);
      return block.ordered ? <ol key={key}>{items}</ol> : <ul key={key}>{items}</ul>;
    }
    case "table":
      return (
        <div key={key} className="table-box">
          <table className="table">
            <thead>
              <tr>
                {block.head.map((cell, index) => (
                  <th key={index}>{cell.map(drawInline)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {block.rows.map((row, index) => (
                <tr key={index}>
                  {row.map((cell, at) => (
                    <td key={at}>{cell.map(drawInline)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
  }
}
