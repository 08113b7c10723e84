import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import { cache } from "./api/cache";
import { ahead } from "./app/ahead";
import { router } from "./app/routes";
import { applyDensity } from "./app/density";
import { applyTheme } from "./app/theme";

ahead(location.href);
applyTheme();
applyDensity();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={cache}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
