/** The one place that asks the server. A refusal becomes a `Problem`, so that views can show code, message and hint. */
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./schema";

interface ProblemBody {
  code?: string;
  help?: string;
  message?: string;
  hint?: string | null;
  fields?: { path: string; message: string; code: string }[];
  request_id?: string;
}

/** The server refused, or was not reached (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly help: string | null;
  readonly hint: string | null;
  readonly requestId: string | null;
  /** Each field that is wrong, where the server says so. */
  readonly fields: { path: string; message: string }[];

  constructor(status: number, body: ProblemBody) {
    super(body.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? (status === 0 ? "unreachable" : `http_${status}`);
    this.help = body.help ?? null;
    this.hint = body.hint ?? null;
    this.requestId = body.request_id ?? null;
    this.fields = body.fields ?? [];
  }
}

/** Makes a `Problem` of whatever was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError) return new Problem(0, { message: "The server cannot be reached.", hint: "See whether it runs and the network is there, then try again." });
  return new Problem(0, { code: "page_error", message: error instanceof Error ? error.message : String(error) });
}

/** What a refusal says of one field of what was sent, as its description: the message of such a refusal begins with the
    name of the field. */
export function fieldError(error: unknown, field: string): string | null {
  if (!(error instanceof Problem) || error.status !== 422 || !error.message.startsWith(`${field}: `)) return null;
  return error.message.slice(field.length + 2);
}

/** One field that was refused: its path in what was sent, and why. */
export interface FieldRefusal {
  path: string;
  why: string;
}

/** The field that a refusal is about, however deep it lies. */
export function refusedField(error: unknown): FieldRefusal | null {
  const found = error instanceof Problem && error.status === 422 ? /^([^\s:]+): (.*)$/s.exec(error.message) : null;
  return found && { path: found[1]!, why: found[2]! };
}

/** Whether it is the field of a path, or something in it. */
export const isAt = (refused: FieldRefusal, path: string): boolean => refused.path === path || refused.path.startsWith(`${path}.`) || refused.path.startsWith(`${path}[`);

/** What it says at the field of a path: what lies deeper is named. */
export const whyAt = (refused: FieldRefusal, path: string): string => (refused.path.startsWith(`${path}.`) ? `${refused.path.slice(path.length + 1)}: ${refused.why}` : refused.why);

/** What a refusal says of a name that is taken. */
export const takenError = (error: unknown): string | null => (error instanceof Problem && error.status === 409 ? error.message : null);

/** What a refusal says of a name that nothing of this kind has: `team`, `user`. */
export const missingError = (error: unknown, kind: string): string | null => (error instanceof Problem && error.status === 404 && error.message.startsWith(`${kind} `) ? error.message : null);

/** What an answer that is no success says. */
export async function refusal(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    return new Problem(response.status, JSON.parse(text) as ProblemBody);
  } catch {
    return new Problem(response.status, { message: text.slice(0, 300) || `The server answered ${response.status}.` });
  }
}

const refuse: Middleware = {
  onResponse: async ({ response }) => {
    if (!response.ok) throw await refusal(response);
  },
};

/** Says that the app asks: a refusal then comes without the challenge for which a browser shows a prompt of its own. */
const fromApp = { "x-lanza-app": "1" };

const client = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "http://localhost",
  credentials: "same-origin",
  headers: fromApp,
  // Found at each call, as every other global is; the library would keep the one of now.
  fetch: async (request) => globalThis.fetch(request),
});
client.use(refuse);

/** Typed requests: `api.GET("/api/v1/me")`. The cookie proves the session; the browser's `Sec-Fetch-Site` and `Origin`
    prove to the server that a change comes from this site. */
export const api = client;

/** The body of an answer that has one. */
export async function got<T>(request: Promise<{ data?: T }>): Promise<T> {
  const { data } = await request;
  if (data === undefined) throw new Problem(0, { code: "no_answer", message: "The server answered nothing." });
  return data;
}

/** Asks a route whose address is made at run time: those of logs. */
export const ask = async (path: string, signal?: AbortSignal): Promise<Response> => fetch(path, { credentials: "same-origin", headers: fromApp, signal: signal ?? null });

/** Reads a text route. */
export async function readText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await ask(path, signal);
  if (!response.ok) throw await refusal(response);
  return response.text();
}

/** Reads a route that may answer anything. */
export async function readBytes(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  const response = await ask(path, signal);
  if (!response.ok) throw await refusal(response);
  return new Uint8Array(await response.arrayBuffer());
}

/** Adds parameters to a path that may have some. */
export function withQuery(path: string, params: Record<string, string | number | boolean | undefined>): string {
  const words = Object.entries(params).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]));
  return words.length === 0 ? path : `${path}${path.includes("?") ? "&" : "?"}${words.join("&")}`;
}

/** Reads a route that answers JSON. */
export async function readJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return JSON.parse(await readText(path, signal)) as T;
}
