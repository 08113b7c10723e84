import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import { problemOf } from "./api/client";
import { router } from "./app/routes";
import { applyTheme } from "./app/theme";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The server may be on this machine: whether there is an internet says nothing.
      networkMode: "always",
      // A refusal does not change by asking again; a lost connection does.
      retry: (failures, error) => failures < 2 && [0, 502, 503, 504].includes(problemOf(error).status),
      staleTime: 1_000,
    },
    mutations: { retry: false, networkMode: "always" },
  },
});

applyTheme();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
