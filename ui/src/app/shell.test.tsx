// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test } from "vitest";
import { QueuesLink } from "./shell";

afterEach(cleanup);

test("the link to the queues keeps its name, and its description says what is stuck", () => {
  for (const [stuck, words] of [[0, null], [1, "1 queue with waiting items and no live agent"], [3, "3 queues with waiting items and no live agent"]] as const) {
    render(
      <MemoryRouter>
        <QueuesLink stuck={stuck} />
      </MemoryRouter>,
    );
    const link = screen.getByRole("link", { name: "Queues" });
    const described = link.getAttribute("aria-describedby");
    expect(described && document.getElementById(described)?.textContent).toBe(words);
    expect(link.querySelector(".alarm")?.textContent ?? "").toBe(stuck > 0 ? `${stuck} !` : "");
    cleanup();
  }
});
