// What is published: what a user needs, and nothing else; small enough to read.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

test("the package holds its code, its types and its papers", () => {
  const told = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: PACKAGE, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const packed: unknown = JSON.parse(told);
  // A list, or an object by name: versions of npm differ.
  const [{ files, size }] = Object.values(packed as Record<string, { files: { path: string }[]; size: number }>) as [{ files: { path: string }[]; size: number }];
  const paths = files.map(({ path }) => path);
  for (const needed of ["package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts", "dist/internal.js"]) assert.ok(paths.includes(needed), needed);
  assert.deepEqual(paths.filter((path) => !/^(package\.json|README\.md|LICENSE|dist\/[a-z0-9]+\.(js|d\.ts))$/.test(path)), []);
  assert.ok(size < 50_000, `${size} bytes`);
});
