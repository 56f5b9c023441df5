// Registers a client, adds a limit, and requests decisions until one is a denial.
import createClient from "openapi-fetch";
import type { paths } from "./rate-limits.js";

declare const process: { env: Record<string, string | undefined> };

const api = createClient<paths>({
  baseUrl: process.env.RATE_LIMITS,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});

const registered = await api.PUT("/v1/clients/{key}", {
  params: { path: { key: "acme" } },
  body: { name: "Acme Ltd" },
});
await api.PUT("/v1/policies/{key}", {
  params: { path: { key: "all" } },
  body: { limits: [{ quota: 2, window: 60 }] },
});

const allowed: boolean[] = [];
let retryAfter: number | null = null;
for (let sent = 0; sent < 3; sent++) {
  const { data, error, response } = await api.POST("/v1/check", { body: { client: "acme", endpoint: "search" } });
  allowed.push(data?.allowed ?? false);
  if (response.status === 429 && error && "retry_after" in error) retryAfter = error.retry_after ?? null;
}

const unknown = await api.GET("/v1/clients/{key}", { params: { path: { key: "nobody" } } });
console.log(
  JSON.stringify({
    registered: registered.data?.key,
    allowed,
    retryAfter: typeof retryAfter,
    unknown: unknown.error?.type,
  }),
);
