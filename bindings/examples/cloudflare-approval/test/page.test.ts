// The status page in a real browser (CHROMIUM names it; `cargo xtask edge` installs one): a person starts an order, sees where it stands,
// and decides.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { Shop } from "./shop.js";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

test("a person decides on the page", { timeout: 120_000 }, async () => {
  assert.ok(existsSync(executablePath), `${executablePath} is no browser: name one in CHROMIUM, or run \`cargo xtask edge\``);
  const shop = await new Shop("durable-object", "secret").start();
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ colorScheme: "dark", viewport: { width: 1280, height: 1000 } });
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && !message.text().includes("401") && complaints.push(message.text()));
    page.on("dialog", (dialog) => void dialog.accept("secret"));

    await page.goto(shop.url);
    await page.getByText("There is none yet.").waitFor();
    await page.getByLabel("Customer").fill('<b>"ada" & co</b>');
    await page.getByLabel("Total in euros").fill("500");
    await page.getByRole("button", { name: "Start" }).click();

    await page.locator("#status .badge.awaiting_signal").waitFor();
    await page.locator('.node.waiting[data-path="who-decides/person/decide/answer/decision"]').waitFor();
    assert.equal(await page.locator(".node.done[data-path=assess]").count(), 1);
    const dark = await page.evaluate("getComputedStyle(document.body).backgroundColor");
    assert.equal(dark, "rgb(20, 23, 28)");

    await page.getByLabel("Your name").fill("grace");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator("#status .badge.completed").waitFor({ timeout: 30_000 });
    assert.match(await page.locator("#status pre").innerText(), /"decidedBy": "grace"/);
    assert.equal(await page.locator(".node.done[data-path=close]").count(), 1);
    assert.equal(await page.getByRole("button", { name: "Approve" }).isVisible(), false);
    assert.equal(await page.getByRole("button", { name: "Cancel this order" }).isVisible(), false);

    await page.keyboard.press("Tab");
    assert.notEqual(await page.evaluate("document.activeElement.tagName"), "BODY", "it can be used by keyboard");
    assert.deepEqual(complaints, []);
    const shots = process.env["SCREENSHOTS"];
    if (shots) await page.screenshot({ path: `${shots}/page.png`, fullPage: true });
  } finally {
    await browser.close();
    await shop.end();
  }
});
