// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { useState } from "react";
import { afterEach, expect, test, vi } from "vitest";
import { FilterBar } from "./filter-bar";
import { suggestions } from "./suggest";

afterEach(cleanup);

function Bar({ onAdd }: { onAdd: (typed: string) => void }) {
  const [text, setText] = useState("");
  return <FilterBar chips={[]} text={text} onText={setText} onAdd={onAdd} onRemove={() => undefined} found={suggestions(text, ["state", "tags"], { state: ["failed", "finished"] })} placeholder="" />;
}

test("Enter completes the begin of a known value, and takes everything else as it was typed", () => {
  const onAdd = vi.fn();
  render(<Bar onAdd={onAdd} />);
  const field = screen.getByRole("combobox");
  for (const text of ["state:fa", "state:failed", "state:running", "sta", "state>f"]) {
    fireEvent.change(field, { target: { value: text } });
    fireEvent.keyDown(field, { key: "Enter" });
  }
  fireEvent.change(field, { target: { value: "state:fi" } });
  fireEvent.keyDown(field, { key: "Escape" });
  fireEvent.keyDown(field, { key: "Enter" });
  expect(onAdd.mock.calls.flat()).toEqual(["state:failed", "state:failed", "state:running", "sta", "state>f", "state:fi"]);
});
