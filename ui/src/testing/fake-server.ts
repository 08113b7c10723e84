/** A server for tests of components: it answers what a test says and keeps what was sent. Import it before what asks, since
    the client keeps the `fetch` that there is when it is loaded. */

interface Asked {
  method: string;
  path: string;
  body: unknown;
}
type Answer = object | ((asked: Asked, query: URLSearchParams, headers: Headers) => object);

const answers = new Map<string, Answer>();

export const server = {
  /** What changed something, in order. */
  sent: [] as Asked[],
  /** Answers a route; a later answer takes the place of an earlier one. */
  on(route: string, answer: Answer) {
    answers.set(route, answer);
  },
  clear() {
    answers.clear();
    server.sent = [];
  },
};

/** A list as the server answers it: so many objects a page, with the number of those before as the cursor. */
export const listOf =
  (all: object[]) =>
  (_asked: unknown, query: URLSearchParams): object => {
    const from = Number(query.get("after") ?? 0);
    const to = from + Number(query.get("limit") ?? 100);
    return { items: all.slice(from, to), next: to < all.length ? String(to) : null };
  };

/** An answer that refuses. */
export class Refused {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly message: string,
  ) {}
}

const json = (body: object, status = 200) => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

globalThis.fetch = async (input, init) => {
  const request = input instanceof Request ? input : new Request(new URL(String(input), location.origin), init);
  const url = new URL(request.url);
  const asked: Asked = { method: request.method, path: url.pathname.replace("/api/v1", ""), body: undefined };
  if (request.method !== "GET") {
    const text = await request.text();
    asked.body = text === "" ? undefined : JSON.parse(text);
    server.sent.push(asked);
  }
  const known = answers.get(`${asked.method} ${asked.path}`);
  const answer = typeof known === "function" ? (known as (asked: Asked, query: URLSearchParams, headers: Headers) => object)(asked, url.searchParams, request.headers) : known;
  if (answer === undefined) return json({ code: "not_found", message: `the test answers no ${asked.method} ${asked.path}` }, 404);
  if (answer instanceof Refused) return json({ code: answer.code, help: "LZ0001", message: answer.message, hint: "What to do." }, answer.status);
  return json(answer);
};
