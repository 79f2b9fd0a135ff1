import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { Config } from "../../analyzer/config.ts";
import { startChromium } from "../support/chromium.ts";
import { type DashboardServer, openDashboard, plantFraud } from "../support/dashboard.ts";
import { waitFor } from "../support/wait.ts";

// The page in a real Chromium, given by the real server from a real ClickHouse. Each test that draws something leaves
// a picture in test-output/dashboard for a person to look at.

// On a busy machine a query takes seconds, and a page asks several.
jest.setTimeout(90_000);

const pictures = join(import.meta.dirname, "..", "..", "test-output", "dashboard");
const TEXTS = ".headline, .subline, .hint, .quiet, .is-bad, .good, .differs, th, td";
const pages: Page[] = [];

let server: DashboardServer;
let browser: Browser;
let config: Config;

beforeAll(async () => {
  mkdirSync(pictures, { recursive: true });
  [server, browser] = await Promise.all([openDashboard(), startChromium()]);
  config = server.config;
  await plantFraud(server);
}, 90_000);

afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.context().close()));
});

afterAll(async () => {
  await browser.close();
  await server.close();
}, 30_000);

/** What the browser complained about and whom it asked, for the tests that care. */
interface Watched {
  readonly page: Page;
  readonly complaints: string[];
  readonly hosts: Set<string>;
}

async function watch(hash: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    timezoneId: "UTC",
    ...options,
  });
  const page = await context.newPage();
  pages.push(page);
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  await page.goto(`${server.url}/${hash}`);
  return { page, complaints, hosts };
}

async function open(hash: string, options: BrowserContextOptions = {}): Promise<Page> {
  const { page } = await watch(hash, options);
  return page;
}

async function picture(page: Page, name: string): Promise<void> {
  const path = join(pictures, `${name}.png`);
  // A panel over the page belongs to what is in view.
  await page.screenshot({ path, fullPage: (await page.getByRole("dialog").count()) === 0 });
  expect(existsSync(path)).toBe(true);
}

/** Text as a person reads it: narrow spaces are spaces. */
async function text(page: Page, selector: string): Promise<string> {
  const found = await page.locator(selector).first().textContent();
  return (found ?? "").replaceAll("\u202f", " ").replaceAll(/\s+/g, " ").trim();
}

/** Cells of a table row that begins with this heading. */
async function row(page: Page, table: string, heading: string): Promise<string[]> {
  const line = page.locator(`${table} tbody tr`, {
    has: page.getByRole("rowheader", { name: heading, exact: true }),
  });
  const cells = await line.first().locator("th, td").allTextContents();
  return cells.map((cell) => cell.replaceAll("\u202f", " ").trim());
}

/** An attribute of the element that has the focus. */
async function focused(page: Page, attribute: string): Promise<string | null> {
  return page.evaluate<string | null>(`document.activeElement.getAttribute("${attribute}")`);
}

async function rowsOf(page: Page, table: string, count: number): Promise<void> {
  const rows = page.locator(`${table} tbody tr`);
  await waitFor(`${table} has ${count} rows`, async () => (await rows.count()) === count || null, {
    timeoutMs: 30_000,
  });
}

async function scrollsSideways(page: Page): Promise<boolean> {
  return page.evaluate<boolean>("document.documentElement.scrollWidth > innerWidth");
}

describe("the list of experiments", () => {
  test("shows each experiment with its figures and leads to it", async () => {
    const page = await open("");
    await page.getByRole("link", { name: "fraud", exact: true }).waitFor();
    expect(await row(page, ".experiments", "fraud")).toEqual([
      "fraud",
      "fraud-primary",
      "shadow (v2) + control",
      "75 %",
      "300",
      "16.7 %",
      "3",
      expect.stringMatching(/days ago$|ago$/),
    ]);
    expect((await row(page, ".experiments", "search")).at(-1)).toBe("none yet");
    await picture(page, "experiments");
    await page.getByRole("link", { name: "fraud", exact: true }).click();
    await page.locator(".headline").waitFor();
    expect(new URL(page.url()).hash).toBe("#/fraud");
  });
});

describe("one experiment", () => {
  test("says in words how many pairs differ and where, and sets it against the control", async () => {
    const { page, complaints, hosts } = await watch("#/fraud");
    await page.locator(".headline").waitFor();
    expect(await text(page, ".headline")).toBe(
      "fraud: 300 pairs; 16.7 % differ; beyond noise most on POST /score",
    );
    expect(await text(page, ".subline")).toBe(
      "Most beyond the control's noise: body digest 16.7 % (control 1.7 %), status 3.3 % (control 0 %), status class 3.3 % (control 0 %).",
    );
    await page.locator(".chart canvas").nth(1).waitFor();
    await picture(page, "experiment-light");
    // The page's own policy holds: no inline style, no script or font from elsewhere, nothing but this server.
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual([new URL(server.url).host]);
  });

  test("shows the planted divergences by rule, with noise beside them, by route and by status", async () => {
    const page = await open("#/fraud");
    await page.locator(".rules").waitFor();
    expect((await row(page, ".rules", "status")).slice(0, 6)).toEqual([
      "status",
      "●●● high",
      "3.3 %",
      "10",
      "0 %",
      "+3.3",
    ]);
    expect((await row(page, ".rules", "body digest")).slice(2, 6)).toEqual([
      "16.7 %",
      "50",
      "1.7 %",
      "+15.0",
    ]);
    const score = await row(page, ".routes", "POST /score");
    expect(score.slice(1, 3)).toEqual(["200", "25.0 %"]);
    expect(score).toContain("5.0 %10noise 0 %");
    expect(await row(page, ".routes", "GET /accounts/{…}")).toEqual(
      expect.arrayContaining(["100", "0 %"]),
    );
    expect(await row(page, ".matrix", "200")).toEqual(["200", "290", "103.3 %"]);
    expect((await row(page, ".segments", "FR")).slice(0, 4)).toEqual(["FR", "100", "50.0 %", "50"]);
  });

  test("says where every sampled request went", async () => {
    const page = await open("#/fraud");
    await page.locator(".splits").waitFor();
    expect(await row(page, ".parts", "sampled")).toEqual(["sampled", "304", "76.0 %"]);
    expect(await row(page, ".parts", "by fraction")).toEqual(["by fraction", "96", "24.0 %"]);
    expect(await row(page, ".parts", "paired")).toEqual(["paired", "300", "98.7 %"]);
    expect((await row(page, ".parts", "shadow missing")).slice(0, 2)).toEqual([
      "shadow missing",
      "3",
    ]);
    expect((await row(page, ".parts", "unreached")).slice(0, 2)).toEqual(["unreached", "1"]);
    expect(await page.locator(".balance.is-balanced").count()).toBe(1);
    expect((await row(page, ".legs", "primary")).slice(1, 4)).toEqual(["303", "303", "303"]);
    expect(await text(page, "details.list >> text=Workers")).toMatch(/1 closed/);
  });

  test("shows the paired latency ratio of shadow and control in numbers beside the drawing", async () => {
    const page = await open("#/fraud");
    await page.locator(".ratios").waitFor();
    const cells = await page
      .locator(".ratios tbody tr.ratio-shadow")
      .first()
      .locator("td.num")
      .allTextContents();
    // Half of the planted pairs took 1.5 times as long, half were as fast; quantiles are within 1 %.
    expect(Number.parseFloat(cells[0] ?? "")).toBeGreaterThan(0.98);
    expect(Number.parseFloat(cells[3] ?? "")).toBeCloseTo(1.5, 1);
    expect(cells[4]).toBe("300");
    expect(await page.locator(".ratios .range-median").count()).toBeGreaterThanOrEqual(2);
  });

  test("shows orphans by reason and the dead letter, each list opened on demand", async () => {
    const page = await open("#/fraud");
    await page.locator("#orphans").waitFor();
    expect((await row(page, ".parts.is-wide", "shadow missing"))[1]).toBe("3");
    await page.getByText("Latest orphans").click();
    await page.getByRole("table", { name: "Latest orphans" }).waitFor();
    expect(
      await page.getByRole("table", { name: "Latest orphans" }).locator("tbody tr").count(),
    ).toBe(3);
    await page.getByText("Latest of all experiments").click();
    await page.getByText("line 3 is not JSON").waitFor();
  });

  test("a link to a route and a rule shows only those, and the way back", async () => {
    const page = await open("#/fraud?method=GET&route=%2Faccounts%2F%7B%E2%80%A6%7D");
    await page.locator(".headline").waitFor();
    expect(await text(page, ".headline")).toBe("fraud: 100 pairs; none differs");
    expect(await text(page, ".subline")).toMatch(/^Only on GET \/accounts\/\{…\}\./);
    await page.getByRole("link", { name: "Clear" }).click();
    await page.getByText("300 pairs; 16.7").waitFor();

    await page.locator(".rules").getByRole("link", { name: "status", exact: true }).click();
    await page.getByText("Only those found by").waitFor();
    expect(await focused(page, "id")).toBe("pairs");
    await rowsOf(page, ".pairs", 10);
  });

  test("older pairs follow on demand, none twice", async () => {
    const page = await open("#/fraud");
    await page.getByRole("button", { name: "Older pairs" }).click();
    await rowsOf(page, ".pairs", 50);
    const ids = await page
      .locator("[data-pair]")
      .evaluateAll((links) => links.map((link) => link.getAttribute("data-pair")));
    expect(new Set(ids).size).toBe(50);
    expect(await page.getByRole("button", { name: "Older pairs" }).count()).toBe(0);
  });

  test("a choice without pairs says so and leads back", async () => {
    const page = await open("#/fraud?window=15m");
    await page.getByText("No pairs fit this choice").waitFor();
    await page.getByRole("link", { name: "Show all routes of the whole run" }).click();
    await page.getByText("300 pairs; 16.7").waitFor();
  });
});

describe("one pair", () => {
  test("opens and closes by keyboard alone, with both legs and each finding in a sentence", async () => {
    const page = await open("#/fraud?rule=status");
    await page.locator("[data-pair]").first().waitFor();
    const id = await page.locator("[data-pair]").first().getAttribute("data-pair");
    for (let presses = 0; presses < 200; presses++) {
      await page.keyboard.press("Tab");
      if ((await focused(page, "data-pair")) === id) break;
    }
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("The primary answered 200, the shadow 500").waitFor();
    expect(await row(page, ".legs-side", "status")).toEqual(["status", "200", "500", "200"]);
    expect(await row(page, ".legs-side", "same bytes as primary")).toEqual([
      "same bytes as primary",
      "–",
      "no",
      "yes",
    ]);
    expect(page.url()).toContain(`pair=${id}`);
    await picture(page, "pair");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await waitFor(
      "the link has the focus again",
      async () => (await focused(page, "data-pair")) === id,
    );
    expect(page.url()).not.toContain("pair=");
  });

  test("a link to a pair that is not stored says so", async () => {
    const page = await open("#/fraud?pair=019b7c00-0000-7000-8000-ffffffffffff");
    await page.getByText("This pair is not stored here").waitFor();
  });
});

describe("for every reader", () => {
  test.each(["light", "dark"] as const)(
    "nothing scrolls sideways on a phone, %s",
    async (colorScheme) => {
      const viewport = { width: 360, height: 780 };
      const page = await open("#/fraud", { viewport, colorScheme });
      await page.locator(".chart canvas").nth(1).waitFor();
      expect(await scrollsSideways(page)).toBe(false);
      await picture(page, `experiment-phone-${colorScheme}`);
      await page.locator("[data-pair]").first().click();
      await page.locator(".findings").first().waitFor();
      expect(await scrollsSideways(page)).toBe(false);
      await page.goto(`${server.url}/#/`);
      await page.locator(".experiments").waitFor();
      expect(await scrollsSideways(page)).toBe(false);
    },
  );

  test.each(["light", "dark"] as const)(
    "text stands out from its ground, %s",
    async (colorScheme) => {
      const page = await open("#/fraud", { colorScheme });
      await page.locator(".legs").waitFor();
      if (colorScheme === "dark") await picture(page, "experiment-dark");
      const ground = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      expect(luminance(ground) < 0.05).toBe(colorScheme === "dark");
      const colours = await page.evaluate<string[]>(
        `[...new Set([...document.querySelectorAll(${JSON.stringify(TEXTS)})].map((one) => getComputedStyle(one).color))]`,
      );
      expect(colours.length).toBeGreaterThan(2);
      for (const colour of colours) expect(contrast(colour, ground)).toBeGreaterThanOrEqual(4.5);
    },
  );

  test("there is a way past the selectors, landmarks, headings, and a name for each table", async () => {
    const page = await open("#/fraud");
    await page.locator(".pairs").waitFor();
    await page.keyboard.press("Tab");
    expect(await focused(page, "class")).toBe("skip");
    await page.keyboard.press("Enter");
    expect(await focused(page, "id")).toBe("content");
    expect(new URL(page.url()).hash).toBe("#/fraud");
    for (const role of ["banner", "navigation", "main", "contentinfo"] as const) {
      expect(await page.getByRole(role).count()).toBe(1);
    }
    expect(await page.getByRole("heading", { level: 1 }).count()).toBe(1);
    const unnamed = await page
      .locator("table")
      .evaluateAll(
        (tables) => tables.filter((table) => table.querySelector("caption") === null).length,
      );
    expect(unnamed).toBe(0);
  });
});

describe("refreshing", () => {
  test("a paused page asks nothing until it is resumed, and one that runs asks again", async () => {
    const page = await open("#/fraud");
    await page.locator(".pairs").waitFor();
    await page.waitForRequest((request) => request.url().includes("/summary"), { timeout: 10_000 });
    await page.getByRole("button", { name: "Pause" }).click();
    // What was under way is given up.
    await page.waitForTimeout(500);
    let asked = 0;
    page.on("request", () => asked++);
    await page.waitForTimeout(4000);
    expect(asked).toBe(0);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.waitForRequest((request) => request.url().includes("/summary"), { timeout: 10_000 });
  });
});

describe("when there is nothing to show", () => {
  test("an experiment without traffic says what to check", async () => {
    const page = await open("#/search");
    await page.getByRole("heading", { name: "No pairs yet" }).waitFor();
    expect(await text(page, ".notice")).toContain("shadowgraph doctor");
    await picture(page, "empty");
  });

  test("an experiment that does not exist names those that do", async () => {
    const page = await open("#/fruad");
    await page.getByText("No experiment fruad here").waitFor();
    for (const { name } of config.experiments) expect(await text(page, ".notice")).toContain(name);
  });
});

// Last, because they take away what the others need.
describe("when something is away", () => {
  test("ClickHouse away keeps the figures and says what to do; a new page says the same", async () => {
    const page = await open("#/fraud");
    await page.locator(".pairs").waitFor();
    await server.stopClickHouse();
    await page.getByText("ClickHouse does not answer").waitFor({ timeout: 30_000 });
    expect(await text(page, ".headline")).toContain("300 pairs");
    await picture(page, "clickhouse-away");
    const fresh = await open("#/fraud");
    await fresh.getByText("ClickHouse does not answer").waitFor({ timeout: 30_000 });
    expect(await text(fresh, ".notice")).toContain("CLICKHOUSE_URL");
    await server.startClickHouse();
    await page.getByRole("button", { name: "Try now" }).click();
    await page
      .getByText("ClickHouse does not answer")
      .waitFor({ state: "detached", timeout: 30_000 });
  });

  test("the analyzer away keeps the figures and says so", async () => {
    const page = await open("#/fraud");
    await page.locator(".pairs").waitFor();
    await server.stopServer();
    await page.getByText("The analyzer does not answer").waitFor({ timeout: 30_000 });
    expect(await text(page, ".headline")).toContain("300 pairs");
    expect(await text(page, ".fresh-state")).toBe("trouble");
    await picture(page, "analyzer-away");
  });
});

/** Relative luminance and contrast as in WCAG 2.2. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? [])
    .map(Number)
    .map((channel) => {
      const share = channel / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, bright = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}
