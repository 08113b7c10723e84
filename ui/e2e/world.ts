/** A real server with a real agent (`lanza dev`), a real browser, and what tests do with them. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import AxeBuilder from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page, type Request } from "playwright-core";

const run = promisify(execFile);
export const output = resolve(import.meta.dirname, "output");

/** Patience for what a loaded machine does slowly, in milliseconds. */
export const PATIENCE = Number(process.env.LANZA_PATIENCE_MS ?? 60_000);

/** How many times slower the browser's pages run than this machine could: what happens between two drawings shows then. */
const SLOWDOWN = Number(process.env.LANZA_SLOWDOWN ?? 1);

export interface World {
  url: string;
  key: string;
  folder: string;
  context: BrowserContext;
  page: Page;
  /** What the browser complained about: nothing is allowed. */
  complaints: string[];
  lanza: (...words: string[]) => Promise<string>;
  /** Starts a program of ours that goes on; it ends with the world. */
  start: (...words: string[]) => ChildProcess;
  /** Runs Python with the unmodified wandb client. Null where no such Python is named. */
  python: ((code: string) => Promise<string>) | null;
  newPage: (look?: { dark?: boolean; phone?: boolean }) => Promise<Page>;
  close: () => Promise<void>;
}

/** Starts everything. `LANZA_BIN` names the program, `LANZA_CHROMIUM` the browser, `LANZA_CLIENT_PYTHON` a Python with wandb.
    `seed` fills the server with a month of a made-up team first. */
export async function world({ seed = false } = {}): Promise<World> {
  const binary = process.env.LANZA_BIN ?? resolve(import.meta.dirname, "../../target/debug/lanza");
  if (!existsSync(binary)) throw new Error(`${binary} is not there: build it, or name it in LANZA_BIN`);
  const folder = mkdtempSync(join(tmpdir(), "lanza-ui-"));
  mkdirSync(output, { recursive: true });
  mkdirSync(join(folder, "home"));
  const plain: NodeJS.ProcessEnv = { PATH: process.env.PATH, HOME: join(folder, "home"), LANG: "C.UTF-8" };
  for (const name of ["PIP_CACHE_DIR", "UV_CACHE_DIR", "PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"]) {
    if (process.env[name]) plain[name] = process.env[name];
  }
  const children: ChildProcess[] = [];
  const server = spawn(binary, ["dev", "--listen", "127.0.0.1:0", "--data", join(folder, "data"), "--target", "process", ...(seed ? ["--seed"] : [])], { env: plain, stdio: ["ignore", "pipe", "pipe"] });
  children.push(server);
  const said: string[] = [];
  server.stderr.on("data", (bytes: Buffer) => said.push(bytes.toString()));
  const values: Record<string, string> = {};
  for await (const line of createInterface({ input: server.stdout })) {
    const found = /^export (\w+)=(.*)$/.exec(line);
    if (found) values[found[1]!] = found[2]!;
    if (Object.keys(values).length === 3) break;
  }
  const url = values.WANDB_BASE_URL;
  const key = values.WANDB_API_KEY;
  if (!url || !key) throw new Error(`the server did not start:\n${said.join("")}`);
  const env = { ...plain, ...values, WANDB_SILENT: "true" };

  const browser: Browser = await chromium.launch({
    executablePath: process.env.LANZA_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const complaints: string[] = [];
  const watch = async (page: Page) => {
    page.setDefaultTimeout(PATIENCE);
    if (SLOWDOWN > 1) await (await page.context().newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate: SLOWDOWN });
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      // A refused request is what some tests are about; the app shows it.
      if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(`${page.url()}: ${message.text()}`);
    });
    // What the page's own policy stopped was never sent.
    const sent = (request: Request) => {
      if (request.failure()?.errorText !== "csp" && !request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) complaints.push(`another host was asked: ${request.url()}`);
    };
    page.on("requestfinished", sent);
    page.on("requestfailed", sent);
    return page;
  };
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  const python = process.env.LANZA_CLIENT_PYTHON;
  return {
    url,
    key,
    folder,
    context,
    page: await watch(await context.newPage()),
    complaints,
    lanza: async (...words) => (await run(binary, words, { env, cwd: folder })).stdout.trim(),
    start: (...words) => {
      const child = spawn(binary, words, { env, cwd: folder, stdio: "ignore" });
      children.push(child);
      return child;
    },
    python: python ? async (code) => (await run(python, ["-c", code], { env: { ...env, WANDB_DIR: folder }, cwd: folder })).stdout.trim() : null,
    newPage: async (look = {}) => {
      const other = await browser.newContext({
        viewport: look.phone ? { width: 390, height: 844 } : { width: 1360, height: 860 },
        colorScheme: look.dark ? "dark" : "light",
        storageState: await context.storageState(),
      });
      return watch(await other.newPage());
    },
    close: async () => {
      await browser.close();
      await Promise.all(
        children.map(
          async (child) =>
            new Promise<void>((done) => {
              if (child.exitCode !== null || child.signalCode !== null) return done();
              child.once("exit", () => done());
              child.kill("SIGTERM");
            }),
        ),
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Keeps a picture for people to look at. */
export async function shot(page: Page, name: string) {
  await page.screenshot({ path: join(output, `${name}.png`) });
}

/** Accessibility rules of WCAG 2 A and AA; what breaks one is named. */
export async function axe(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  return found.violations.map((rule) => `${rule.id} (${rule.impact}): ${rule.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.failureSummary ?? ""}`).join(" | ")}`);
}

/** Writes the source of a job into a folder. */
export function source(folder: string, script: string, requirements = "wandb==0.31.0\n"): string {
  const path = join(folder, "source");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "train.py"), script);
  writeFileSync(join(path, "requirements.txt"), requirements);
  return path;
}

/** Waits until something is seen. */
export const visible = async (target: { waitFor: (o: { state: "visible"; timeout?: number }) => Promise<void> }, timeout = PATIENCE) => target.waitFor({ state: "visible", timeout });

/** Signs in with the key of the world. */
export async function signIn(w: World) {
  await w.page.goto(`${w.url}/login`);
  await w.page.getByLabel("API key").fill(w.key);
  await w.page.getByRole("button", { name: "Sign in" }).click();
  await w.page.waitForURL(`${w.url}/`);
}

/** Opens screens in the light, in the dark and on a phone, keeps a picture of each, and returns what is wrong with them: a
    complaint of axe, or a page that is wider than the window. */
export async function everyLook(w: World, screens: [name: string, path: string][]): Promise<string[]> {
  const broken: string[] = [];
  for (const [look, options] of [
    ["light", {}],
    ["dark", { dark: true }],
    ["phone", { phone: true }],
  ] as const) {
    const page = await w.newPage(options);
    for (const [name, path] of screens) {
      await page.goto(`${w.url}${path}`);
      await visible(page.getByRole("heading", { level: 1 }));
      await page.waitForLoadState("load");
      // What is folded away is read when it is opened.
      const settled = () => ![...document.querySelectorAll(".hidden-text")].some((text) => text.textContent === "Loading…" && !text.closest("details:not([open])"));
      await page.waitForFunction(settled, undefined, { timeout: PATIENCE }).catch(async () => {
        await shot(page, "loading");
        throw new Error(`${look} ${name} goes on loading`);
      });
      // Charts are drawn when they are looked at; the picture is of what they show.
      await page.waitForFunction(() => ![...document.querySelectorAll(".skeleton")].some((shape) => !shape.closest("details:not([open])") && shape.getBoundingClientRect().top < innerHeight && shape.getBoundingClientRect().bottom > 0));
      await shot(page, `${look}-${name}`);
      broken.push(...(await axe(page)).map((rule) => `${look} ${name}: ${rule}`));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) broken.push(`${look} ${name} is ${wide} pixels too wide`);
    }
    await page.context().close();
  }
  return broken;
}
