// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { useReading } from "./reading";

afterEach(cleanup);

function List() {
  const { reading, ref, area, toTop } = useReading();
  return (
    <div data-testid="page">
      <button type="button" onClick={toTop}>
        Top
      </button>
      <div ref={ref} {...area}>
        <div data-testid="box">
          <button type="button">Row</button>
        </div>
      </div>
      <div data-testid="other" />
      <output>{String(reading)}</output>
    </div>
  );
}

const reading = () => screen.getByRole("status").textContent === "true";
const scroll = (id: string, top: number) =>
  act(() => {
    const element = screen.getByTestId(id);
    element.scrollTop = top;
    fireEvent.scroll(element);
  });

test("a list is read under the pointer, scrolled itself or with its page, and not when something else scrolls", () => {
  render(<List />);
  expect(reading()).toBe(false);
  const around = screen.getByTestId("box").parentElement!;
  fireEvent.pointerEnter(around);
  expect(reading()).toBe(true);
  fireEvent.pointerLeave(around);
  expect(reading()).toBe(false);
  scroll("other", 100);
  expect(reading()).toBe(false);
  scroll("box", 100);
  scroll("page", 50);
  scroll("box", 0);
  expect(reading()).toBe(true);
  fireEvent.click(screen.getByRole("button", { name: "Top" }));
  expect(screen.getByTestId("page").scrollTop).toBe(0);
  scroll("page", 0);
  expect(reading()).toBe(false);
});

test("the keyboard in a list reads it, a click does not", () => {
  render(<List />);
  const row = screen.getByRole("button", { name: "Row" });
  const keys = vi.spyOn(row, "matches");
  keys.mockImplementation((selector) => selector !== ":focus-visible");
  act(() => row.focus());
  expect(reading()).toBe(false);
  act(() => row.blur());
  keys.mockImplementation(() => true);
  act(() => row.focus());
  expect(reading()).toBe(true);
  act(() => row.blur());
  expect(reading()).toBe(false);
});
