import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, expect, jest, test } from "@jest/globals";
import { type Backend, startBackend } from "./backend.ts";
import { startChromium } from "./chromium.ts";
import { startEnvoy } from "./envoy.ts";
import { freePort } from "./ports.ts";
import { tempDir } from "./temp-dir.ts";
import { waitFor } from "./wait.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

const dir = tempDir("helpers");
afterAll(() => dir.remove());

function bootstrap({
  admin,
  listener,
  backend,
}: {
  admin: number;
  listener: number;
  backend: number;
}) {
  const address = (port: number) => ({
    socket_address: { address: "127.0.0.1", port_value: port },
  });
  const router = {
    name: "router",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    },
  };
  const manager = {
    "@type":
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "in",
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }],
        },
      ],
    },
    http_filters: [router],
  };
  return JSON.stringify({
    admin: { address: address(admin) },
    static_resources: {
      listeners: [
        {
          address: address(listener),
          filter_chains: [
            {
              filters: [
                { name: "envoy.filters.network.http_connection_manager", typed_config: manager },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: "backend",
          type: "STATIC",
          load_assignment: {
            cluster_name: "backend",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(backend) } }] }],
          },
        },
      ],
    },
  });
}

test("a real Envoy takes traffic once it is started, tells its counters and frees its ports when stopped", async () => {
  const backend = await startBackend({
    answer: () => ({ status: 201, headers: { "x-from": "backend" }, body: "hello" }),
  });
  const [admin, listener] = [await freePort(), await freePort()];
  const config = bootstrap({ admin, listener, backend: backend.port });
  const envoy = await startEnvoy({ config, adminPort: admin });
  try {
    const response = await fetch(`http://127.0.0.1:${listener}/a?b=c`, {
      method: "POST",
      body: "abc",
    });
    expect(response.status).toBe(201);
    expect(await response.text()).toBe("hello");
    expect(backend.requests[0]).toMatchObject({ method: "POST", path: "/a?b=c" });
    expect(backend.requests[0]?.body.toString()).toBe("abc");
    expect(backend.requests[0]?.header("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect((await envoy.stats("upstream_rq_total")).get("cluster.backend.upstream_rq_total")).toBe(
      1,
    );
    expect(await envoy.log()).toContain("starting main dispatch loop");
  } finally {
    await envoy.stop();
    await backend.stop();
  }
  await expect(fetch(envoy.adminUrl)).rejects.toThrow("fetch failed");
});

test("an Envoy that refuses its configuration is an error with Envoy's own words", async () => {
  const starting = startEnvoy({ config: '{"admin": {"adress": 1}}', adminPort: await freePort() });
  await expect(starting).rejects.toThrow(/ended at once[\s\S]*adress/);
});

/** What comes back on a bare connection, until it ends or breaks or 200 ms pass in silence. */
function exchange(backend: Backend, text: string): Promise<{ bytes: string; end: string }> {
  return new Promise((done) => {
    const socket = connect(backend.port, "127.0.0.1", () => socket.write(text));
    let bytes = "";
    socket.on("data", (chunk) => {
      bytes += chunk.toString("latin1");
    });
    socket.on("end", () => done({ bytes, end: "end" }));
    socket.on("error", (error: NodeJS.ErrnoException) => done({ bytes, end: error.code ?? "" }));
    socket.setTimeout(200, () => {
      socket.destroy();
      done({ bytes, end: "silence" });
    });
  });
}

test("a backend answers well, hangs, resets, breaks off or sends garbage, as the test says", async () => {
  const backend = await startBackend();
  const get = "GET / HTTP/1.1\r\nHost: a\r\nX-Odd-Case: 1\r\nX-Twice: a\r\nX-Twice: b\r\n\r\n";
  try {
    expect((await exchange(backend, get)).bytes).toMatch(/^HTTP\/1.1 200 OK[\s\S]*\r\n\r\nok$/);
    expect(backend.requests[0]?.rawHeaders).toEqual([
      ["Host", "a"],
      ["X-Odd-Case", "1"],
      ["X-Twice", "a"],
      ["X-Twice", "b"],
    ]);

    backend.setAnswer(() => ({ kind: "hang" }));
    expect(await exchange(backend, get)).toEqual({ bytes: "", end: "silence" });

    backend.setAnswer(() => ({ kind: "reset" }));
    expect(await exchange(backend, get)).toEqual({ bytes: "", end: "ECONNRESET" });

    backend.setAnswer(() => ({ kind: "raw", bytes: "SMTP, are you there?\n" }));
    expect(await exchange(backend, get)).toEqual({ bytes: "SMTP, are you there?\n", end: "end" });

    backend.setAnswer(() => ({ chunks: [{ body: "half" }], thenReset: true }));
    const broken = await exchange(backend, get);
    expect(broken.bytes).toMatch(/4\r\nhalf\r\n$/);
    expect(broken.end).toBe("ECONNRESET");

    backend.setAnswer(() => ({ chunks: [{ body: "all" }], trailers: { "grpc-status": "0" } }));
    expect((await exchange(backend, get)).bytes).toMatch(
      /3\r\nall\r\n0\r\ngrpc-status: 0\r\n\r\n$/,
    );

    expect(backend.count()).toBe(6);
    await backend.stop();
    expect((await exchange(backend, get)).end).toBe("ECONNREFUSED");
    await backend.start();
    backend.setAnswer(() => ({ body: "back" }));
    expect((await exchange(backend, get)).bytes).toMatch(/back$/);
  } finally {
    await backend.stop();
  }
});

test("waiting in vain says what was awaited and what the last look gave", async () => {
  await expect(waitFor("ten pairs", () => false, { timeoutMs: 50 })).rejects.toThrow(
    "waited 50 ms for ten pairs; the last look gave: false",
  );
  const failing = () => {
    throw new Error("no table");
  };
  await expect(waitFor("rows", failing, { timeoutMs: 50 })).rejects.toThrow("gave: no table");
});

const chromiums = [{ which: "the machine's own or the packaged", packaged: false }];
if (process.platform === "linux" && process.arch === "x64") {
  chromiums.push({ which: "the packaged", packaged: true });
}
test.each(chromiums)(
  "$which Chromium opens a page, runs its script and takes a picture",
  async ({ packaged }) => {
    const page =
      '<!doctype html><title>t</title><p id="p"></p><script>p.textContent = 6 * 7</script>';
    const backend = await startBackend({
      answer: () => ({ headers: { "content-type": "text/html" }, body: page }),
    });
    const browser = await startChromium({ packaged });
    try {
      const tab = await browser.newPage();
      await tab.goto(backend.url);
      expect(await tab.textContent("#p")).toBe("42");
      const picture = await tab.screenshot();
      expect(picture.subarray(1, 4).toString()).toBe("PNG");
      writeFileSync(join(dir.path, "page.png"), picture);
    } finally {
      await browser.close();
      await backend.stop();
    }
  },
  60_000,
);
