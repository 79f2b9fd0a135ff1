import { expect, test } from "@jest/globals";
import { startProxy, storedRecords } from "../support/mirrored-request.ts";
import { ProxyHost } from "../support/proxy-host.ts";

/** The records of the primary for requests of these paths, in their order. */
async function recordsOf(paths: readonly string[]): Promise<Record<string, unknown>[]> {
  const host = new ProxyHost();
  const proxy = startProxy(host, { experiment: { match: {} } });
  for (const path of paths) proxy.request({ method: "GET", path });
  await host.advanceMs(2000);
  const records = storedRecords(host);
  expect(records).toHaveLength(paths.length);
  return records.sort((a, b) => Number(a["startedAtUs"]) - Number(b["startedAtUs"]));
}

async function routesOf(paths: readonly string[]): Promise<unknown[]> {
  return (await recordsOf(paths)).map((record) => record["route"]);
}

test("segments made of words stay, so that a route is recognised", async () => {
  const paths = [
    "/",
    "/score",
    "/v1/score",
    "/api/v12/list-all_items/",
    "/shop.v2.CartService/AddItem",
    "/v1/items:batchGet",
    "/favicon.ico",
    "/a//b",
    "/feed/cafe/face",
    "*",
  ];
  expect(await routesOf(paths)).toEqual(paths);
});

test("segments that may be somebody's data become a placeholder", async () => {
  const cases: [string, string][] = [
    ["/users/42", "/users/{…}"],
    ["/users/42/orders/7", "/users/{…}/orders/{…}"],
    ["/users/3f2b8c1e-7a44-4d0e-9f3b-2f1c6a7d8e90", "/users/{…}"],
    ["/blob/deadbeefcafe", "/blob/{…}"],
    ["/session/xKqTzWbNrPmL", "/session/{…}"],
    ["/users/ada7", "/users/{…}"],
    ["/users/ada@example.com", "/users/{…}"],
    ["/name/J%C3%B6rg", "/name/{…}"],
    ["/name/Jörg", "/name/{…}"],
    ["/t/eyJhbGciOiJIUzI1NiJ9.e30.abc", "/t/{…}"],
    ["/x/a-very-long-segment-that-goes-on-and-on-for-ever", "/x/{…}"],
    ["/x/supercalifragilisticexpialidocious", "/x/{…}"],
    ["/v1234/x", "/{…}/x"],
    ["/2026-11-23/report", "/{…}/report"],
    ['/quote"back\\slash/x', "/{…}/x"],
    ["http://somewhere/else", "{…}"],
  ];
  expect(await routesOf(cases.map(([path]) => path))).toEqual(cases.map(([, route]) => route));
});

test("of the query only names of parameters stay, never a value", async () => {
  const records = await recordsOf([
    "/search?q=secret&page=2&filter[name]=x",
    "/search?",
    "/search?&&a=1;b=2#c=3",
    "/search?bare&42=x&user7=1&=x&ok=",
    `/search?${Array.from({ length: 20 }, (_, index) => `${"abcdefghijklmnopqrstuvwxyz"[index]}=1`).join("&")}`,
    "/search#part?q=1",
  ]);
  expect(records.map((record) => record["params"])).toEqual([
    ["q", "page", "filter[name]"],
    undefined,
    ["a", "b"],
    ["{…}", "{…}", "{…}", "{…}", "ok"],
    [..."abcdefghijklmnop"],
    undefined,
  ]);
  expect(records[4]?.["cut"]).toEqual(["params"]);
  expect(records.map((record) => record["route"])).toEqual(Array(6).fill("/search"));
});

test("a route longer than its limit is cut at a segment and says so", async () => {
  const [long, widest] = await recordsOf(["/segment".repeat(100), "/7".repeat(1000)]);
  expect(long?.["route"]).toBe("/segment".repeat(32));
  expect(long?.["cut"]).toEqual(["route"]);
  expect(widest?.["route"]).toBe("/{…}".repeat(64));
  expect([...String(widest?.["route"])]).toHaveLength(256);
  expect(widest?.["cut"]).toEqual(["route"]);
});
